package ban

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// file is a storage in one SQLite file. It has one connection that writes, so
// that transactions of this process never wait for each other inside SQLite,
// and a few that only read, which its write-ahead log lets go on meanwhile.
type file struct {
	path   string
	writer *sql.DB
	reader *sql.DB
	lock   *os.File // held for as long as the file is open
	bad    unreadable
}

const decisionColumns = "id, prefix, action, scenario, origin, reason, severity, staged, held, wide, at, created, until, arrived, removed"

func (f *file) load(ctx context.Context, ended, lifted time.Time) (c contents, err error) {
	if c.decisions, err = f.query(ctx, strict, "SELECT "+decisionColumns+", NULL FROM decisions WHERE until > ?", millis(ended)); err != nil {
		return c, f.explain("read decisions from", err)
	}
	if c.unbans, err = f.unbans(ctx, lifted); err != nil {
		return c, f.explain("read unbans from", err)
	}
	if c.allow, err = f.allowlist(ctx); err != nil {
		return c, f.explain("read the allowlist from", err)
	}
	return c, nil
}

func (f *file) unbans(ctx context.Context, lifted time.Time) ([]unban, error) {
	return rowsOf(ctx, f, strict, "SELECT prefix, at FROM unbans WHERE at > ?", []any{millis(lifted)}, func(rows *sql.Rows) (u unban, err error) {
		var prefix string
		var at int64
		if err := rows.Scan(&prefix, &at); err != nil {
			return u, err
		}
		u.at = fromMillis(at)
		if u.prefix, err = netip.ParsePrefix(prefix); err != nil {
			err = damaged{fmt.Errorf("unban of %q: %w", prefix, err)}
		}
		return u, err
	})
}

func (f *file) write(ctx context.Context, b batch) error {
	if err := f.transact(ctx, func(tx *sql.Tx) error { return b.store(ctx, tx) }); err != nil {
		return f.explain("write decisions to", err)
	}
	return nil
}

func (b *batch) store(ctx context.Context, tx *sql.Tx) error {
	if err := putAll(ctx, tx, b.put); err != nil {
		return err
	}
	for _, id := range b.free {
		if _, err := tx.ExecContext(ctx, "UPDATE decisions SET held = '' WHERE id = ?", id); err != nil {
			return err
		}
	}
	for _, e := range b.end {
		at := millis(e.at)
		if _, err := tx.ExecContext(ctx, "UPDATE decisions SET until = ?, removed = ? WHERE id = ?", at, at, e.id); err != nil {
			return err
		}
	}
	for _, u := range b.unban {
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO unbans (prefix, at) VALUES (?, ?)", u.prefix.String(), millis(u.at)); err != nil {
			return err
		}
	}
	return b.storeRest(ctx, tx)
}

func putAll(ctx context.Context, tx *sql.Tx, ds []Decision) error {
	if len(ds) == 0 {
		return nil
	}
	put, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO decisions ("+decisionColumns+", context) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer put.Close()
	for i := range ds {
		d := &ds[i]
		why, err := marshalContext(d.Context)
		if err != nil {
			return fmt.Errorf("context of decision %s: %w", d.ID, err)
		}
		if _, err := put.ExecContext(ctx, d.ID, d.Prefix.String(), d.Action, d.Scenario, d.Origin, d.Reason,
			d.Severity, d.Staged, d.Held, d.Wide,
			millis(d.At), millis(d.Created), millis(d.Until), millis(d.Arrived), millis(d.Removed), why); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) get(ctx context.Context, id string) (Decision, bool, error) {
	ds, err := f.query(ctx, strict, "SELECT "+decisionColumns+", context FROM decisions WHERE id = ?", id)
	if err != nil {
		return Decision{}, false, f.explain("read a decision from", err)
	}
	if len(ds) == 0 {
		return Decision{}, false, nil
	}
	return ds[0], true, nil
}

func (f *file) list(ctx context.Context, by filter) ([]Decision, error) {
	query, args := by.sql()
	ds, err := f.query(ctx, lenient, query, args...)
	if err != nil {
		return nil, f.explain("list decisions of", err)
	}
	return ds, nil
}

// sql writes f as a query of decisions.
func (f *filter) sql() (string, []any) {
	where, args := f.where()
	if f.origin != "" {
		where, args = where+" AND origin = ?", append(args, f.origin)
	}
	return "SELECT " + decisionColumns + ", NULL FROM decisions WHERE " + where + f.order(), append(args, f.limit)
}

// where is the condition that decisions and alerts have in common.
func (f *filter) where() (string, []any) {
	where, args := []string{"until >= ?"}, []any{millis(f.kept)}
	and := func(cond string, values ...any) {
		where = append(where, cond)
		args = append(args, values...)
	}
	if len(f.prefixes) > 0 {
		cond, values := amongPrefixes(f.prefixes)
		and(cond, values...)
	}
	if f.scenario != "" {
		and("scenario = ?", f.scenario)
	}
	if f.after != (position{}) {
		and("(created, id) < (?, ?)", f.after.created, f.after.id)
	}
	return strings.Join(where, " AND "), args
}

// order is how a query ends. The unary plus keeps SQLite from walking all rows in
// order where a few prefixes single out a handful.
func (f *filter) order() string {
	if len(f.prefixes) > 0 {
		return " ORDER BY +created DESC, id DESC LIMIT ?"
	}
	return " ORDER BY created DESC, id DESC LIMIT ?"
}

// amongPrefixes makes a condition of prefixes, of which there is at least one.
func amongPrefixes(prefixes []netip.Prefix) (cond string, values []any) {
	for _, p := range prefixes {
		values = append(values, p.String())
	}
	return "prefix IN (?" + strings.Repeat(", ?", len(prefixes)-1) + ")", values
}

func (f *file) about(ctx context.Context, prefixes []netip.Prefix, ended time.Time) ([]netip.Prefix, error) {
	var found []netip.Prefix
	for some := range slices.Chunk(prefixes, 1000) {
		cond, values := amongPrefixes(some)
		ps, err := f.prefixes(ctx, "SELECT DISTINCT prefix FROM decisions WHERE until > ? AND "+cond, append([]any{millis(ended)}, values...)...)
		if err != nil {
			return nil, f.explain("read prefixes from", err)
		}
		found = append(found, ps...)
	}
	return found, nil
}

func (f *file) prefixes(ctx context.Context, query string, args ...any) ([]netip.Prefix, error) {
	return rowsOf(ctx, f, lenient, query, args, func(rows *sql.Rows) (p netip.Prefix, err error) {
		var prefix string
		if err := rows.Scan(&prefix); err != nil {
			return p, err
		}
		if p, err = netip.ParsePrefix(prefix); err != nil {
			err = damaged{fmt.Errorf("decision about %q: %w", prefix, err)}
		}
		return p, err
	})
}

func (f *file) query(ctx context.Context, how reading, query string, args ...any) ([]Decision, error) {
	return rowsOf(ctx, f, how, query, args, f.scanDecision)
}

func (f *file) scanDecision(rows *sql.Rows) (Decision, error) {
	var d Decision
	var prefix string
	var at, created, until, arrived, removed int64
	var why []byte
	if err := rows.Scan(&d.ID, &prefix, &d.Action, &d.Scenario, &d.Origin, &d.Reason,
		&d.Severity, &d.Staged, &d.Held, &d.Wide, &at, &created, &until, &arrived, &removed, &why); err != nil {
		return d, err
	}
	var err error
	if d.Prefix, err = netip.ParsePrefix(prefix); err != nil {
		return d, damaged{fmt.Errorf("decision %s: %w", d.ID, err)}
	}
	d.Context = f.context("decision "+d.ID, why)
	d.At, d.Created, d.Until = fromMillis(at), fromMillis(created), fromMillis(until)
	d.Arrived, d.Removed = fromMillis(arrived), fromMillis(removed)
	return d, nil
}

func (f *file) purge(ctx context.Context, p purge, limit int) (more bool, err error) {
	err = f.transact(ctx, func(tx *sql.Tx) error {
		more = false
		for _, q := range []struct {
			table, key, where string
			before            time.Time
		}{
			{"decisions", "id", "until < ?1", p.ended},
			{"alerts", "id", "until < ?1", p.ended},
			{"unbans", "prefix", "at < ?1", p.lifted},
			{"allowlist", "prefix", "removed AND created < ?1 OR expires > 0 AND expires < ?1", p.lifted},
			{"audit", "id", "at < ?1", p.audit},
		} {
			res, err := tx.ExecContext(ctx, "DELETE FROM "+q.table+" WHERE "+q.key+" IN (SELECT "+q.key+" FROM "+q.table+" WHERE "+q.where+" LIMIT ?2)", millis(q.before), limit)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			more = more || n == int64(limit)
		}
		return nil
	})
	if err != nil {
		return false, f.explain("purge what has ended from", err)
	}
	return more, nil
}

func (f *file) transact(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := f.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (f *file) close() error {
	// The writer goes last: the last connection to go merges the write-ahead log.
	// Until it has, nobody else may open the file.
	if err := errors.Join(f.reader.Close(), f.writer.Close(), f.lock.Close()); err != nil {
		return f.explain("close", err)
	}
	return nil
}

// damaged marks an error as one of the file's content.
type damaged struct{ error }

// explain says what was being done and to which file, and, where the cause is
// known, what to do about it.
func (f *file) explain(doing string, err error) error {
	hint := ""
	var se *sqlite.Error
	switch {
	case errors.As(err, new(damaged)):
		hint = hintDamaged
	case errors.As(err, &se):
		hint = hints[se.Code()&0xff] // the low byte: the rest tells variants apart
	}
	return fmt.Errorf("%s %s: %w%s", doing, f.path, err, hint)
}

const hintDamaged = " (the file is damaged or not a database: move it away, with the files of the same name that end in -wal and -shm, and start again; bans that IP sets hold are adopted from there)"

var hints = map[int]string{
	sqlite3.SQLITE_CORRUPT:  hintDamaged,
	sqlite3.SQLITE_NOTADB:   hintDamaged,
	sqlite3.SQLITE_FULL:     " (make room on the disk: what was decided is kept in memory and stored as soon as there is some)",
	sqlite3.SQLITE_BUSY:     " (another process is using the file: stop it, or give each its own)",
	sqlite3.SQLITE_READONLY: " (the file or its directory cannot be written to by this user)",
	sqlite3.SQLITE_CANTOPEN: " (does the directory exist, and may this user write to it?)",
}
