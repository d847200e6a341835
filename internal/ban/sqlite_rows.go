package ban

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// storeRest stores what is neither a decision nor the end of one.
func (b *batch) storeRest(ctx context.Context, tx *sql.Tx) error {
	for _, e := range b.allow {
		_, err := tx.ExecContext(ctx, `INSERT INTO allowlist (prefix, comment, author, created, expires, removed, version) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (prefix) DO UPDATE SET comment = excluded.comment, author = excluded.author, created = excluded.created,
			expires = excluded.expires, removed = excluded.removed, version = excluded.version WHERE excluded.version > version`,
			e.Prefix.String(), e.Comment, e.Author, millis(e.Created), millis(e.Expires), e.removed, e.version)
		if err != nil {
			return err
		}
	}
	for i := range b.alerts {
		a := &b.alerts[i]
		why, err := marshalContext(a.Context)
		if err != nil {
			return fmt.Errorf("context of alert %s: %w", a.ID, err)
		}
		_, err = tx.ExecContext(ctx, "INSERT OR IGNORE INTO alerts (id, prefix, scenario, at, created, until, decision, refused, context) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			a.ID, a.Prefix.String(), a.Scenario, millis(a.At), millis(a.Created), millis(a.Until), a.Decision, a.Refused, why)
		if err != nil {
			return err
		}
	}
	for _, a := range b.audit {
		_, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO audit (id, at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?, ?)",
			a.ID, millis(a.At), a.Actor, a.Action, a.Target, a.Detail)
		if err != nil {
			return err
		}
	}
	return nil
}

func marshalContext(c *Context) ([]byte, error) {
	if c == nil {
		return nil, nil
	}
	return json.Marshal(c)
}

// context reads what led to something; nil: nothing is there that can be read.
func (f *file) context(of string, why []byte) *Context {
	c, err := unmarshalContext(why)
	if err != nil {
		f.bad.note("context of "+of, err)
		return nil
	}
	return c
}

func unmarshalContext(why []byte) (*Context, error) {
	if why == nil {
		return nil, nil
	}
	c := new(Context)
	return c, json.Unmarshal(why, c)
}

func (f *file) allowlist(ctx context.Context) ([]AllowEntry, error) {
	return rowsOf(ctx, f, strict, "SELECT prefix, comment, author, created, expires, removed, version FROM allowlist", nil, func(rows *sql.Rows) (e AllowEntry, err error) {
		var prefix string
		var created, expires int64
		if err := rows.Scan(&prefix, &e.Comment, &e.Author, &created, &expires, &e.removed, &e.version); err != nil {
			return e, err
		}
		e.Created, e.Expires = fromMillis(created), fromMillis(expires)
		if e.Prefix, err = netip.ParsePrefix(prefix); err != nil {
			err = damaged{fmt.Errorf("allowlist entry of %q: %w", prefix, err)}
		}
		return e, err
	})
}

const alertColumns = "a.id, a.prefix, a.scenario, a.at, a.created, a.until, a.decision, a.refused"

func (f *file) alert(ctx context.Context, id string) (Alert, bool, error) {
	list, err := rowsOf(ctx, f, strict, "SELECT "+alertColumns+", coalesce(a.context, d.context) FROM alerts a LEFT JOIN decisions d USING (id) WHERE a.id = ?", []any{id}, f.scanAlert)
	if err != nil {
		return Alert{}, false, f.explain("read an alert from", err)
	}
	if len(list) == 0 {
		return Alert{}, false, nil
	}
	return list[0], true, nil
}

func (f *file) alerts(ctx context.Context, by filter) ([]Alert, error) {
	where, args := by.where()
	list, err := rowsOf(ctx, f, lenient, "SELECT "+alertColumns+", NULL FROM alerts a WHERE "+where+by.order(), append(args, by.limit), f.scanAlert)
	if err != nil {
		return nil, f.explain("list alerts of", err)
	}
	return list, nil
}

func (f *file) scanAlert(rows *sql.Rows) (a Alert, err error) {
	var prefix string
	var at, created, until int64
	var why []byte
	if err = rows.Scan(&a.ID, &prefix, &a.Scenario, &at, &created, &until, &a.Decision, &a.Refused, &why); err != nil {
		return a, err
	}
	a.At, a.Created, a.Until = fromMillis(at), fromMillis(created), fromMillis(until)
	if a.Prefix, err = netip.ParsePrefix(prefix); err != nil {
		return a, damaged{fmt.Errorf("alert %s: %w", a.ID, err)}
	}
	a.Context = f.context("alert "+a.ID, why)
	return a, nil
}

func (f *file) audit(ctx context.Context, after position, limit int) ([]Audit, error) {
	where, args := "true", []any(nil)
	if after != (position{}) {
		where, args = "(at, id) < (?, ?)", []any{after.created, after.id}
	}
	list, err := rowsOf(ctx, f, lenient, "SELECT id, at, actor, action, target, detail FROM audit WHERE "+where+" ORDER BY at DESC, id DESC LIMIT ?", append(args, limit), func(rows *sql.Rows) (a Audit, err error) {
		var at int64
		err = rows.Scan(&a.ID, &at, &a.Actor, &a.Action, &a.Target, &a.Detail)
		a.At = fromMillis(at)
		return a, err
	})
	if err != nil {
		return nil, f.explain("read the audit log of", err)
	}
	return list, nil
}

// reading says what becomes of a row that cannot be read.
type reading bool

const (
	strict  reading = false // it fails: it is what was asked for, or a start that has to tell
	lenient reading = true  // it is left out, and counted
)

// rowsOf reads what a query finds.
func rowsOf[T any](ctx context.Context, f *file, how reading, query string, args []any, scan func(*sql.Rows) (T, error)) (list []T, err error) {
	rows, err := f.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if how == lenient && errors.As(err, new(damaged)) {
			f.bad.note(err.Error(), err)
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

func (f *file) secret(ctx context.Context, name string, fresh [32]byte) (secret [32]byte, err error) {
	var value []byte
	err = f.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?)", name, fresh[:]); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = ?", name).Scan(&value)
	})
	if err == nil && len(value) != len(secret) {
		err = damaged{fmt.Errorf("a secret of %d bytes", len(value))}
	}
	if err != nil {
		return secret, f.explain("read a secret from", err)
	}
	return [32]byte(value), nil
}

func (f *file) unread() int64 { return f.bad.left.Load() }

// shared: one process holds the lock.
func (f *file) shared() bool { return false }
