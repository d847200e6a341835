package ban

import (
	"context"
	"database/sql"
	"encoding/json"
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
}

const decisionColumns = "id, prefix, action, scenario, origin, reason, severity, staged, held, wide, at, created, until, arrived, removed"

func (f *file) load(ctx context.Context, ended, lifted time.Time) ([]Decision, []unban, error) {
	ds, err := f.query(ctx, "SELECT "+decisionColumns+", NULL FROM decisions WHERE until > ?", millis(ended))
	if err != nil {
		return nil, nil, f.explain("read decisions from", err)
	}
	us, err := f.unbans(ctx, lifted)
	if err != nil {
		return nil, nil, f.explain("read unbans from", err)
	}
	return ds, us, nil
}

func (f *file) unbans(ctx context.Context, lifted time.Time) ([]unban, error) {
	rows, err := f.reader.QueryContext(ctx, "SELECT prefix, at FROM unbans WHERE at > ?", millis(lifted))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var us []unban
	for rows.Next() {
		var prefix string
		var at int64
		if err := rows.Scan(&prefix, &at); err != nil {
			return nil, err
		}
		p, err := netip.ParsePrefix(prefix)
		if err != nil {
			return nil, damaged{fmt.Errorf("unban of %q: %w", prefix, err)}
		}
		us = append(us, unban{p, fromMillis(at)})
	}
	return us, rows.Err()
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
	return nil
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
		var why []byte
		if d.Context != nil {
			if why, err = json.Marshal(d.Context); err != nil {
				return fmt.Errorf("context of decision %s: %w", d.ID, err)
			}
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
	ds, err := f.query(ctx, "SELECT "+decisionColumns+", context FROM decisions WHERE id = ?", id)
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
	ds, err := f.query(ctx, query, args...)
	if err != nil {
		return nil, f.explain("list decisions of", err)
	}
	return ds, nil
}

// sql writes f as a query. The unary plus keeps SQLite from walking all
// decisions in order where a few prefixes single out a handful.
func (f *filter) sql() (string, []any) {
	where, args := []string{"true"}, []any(nil)
	and := func(cond string, values ...any) {
		where = append(where, cond)
		args = append(args, values...)
	}
	order := "created DESC, id DESC"
	if len(f.prefixes) > 0 {
		cond, values := amongPrefixes(f.prefixes)
		and(cond, values...)
		order = "+created DESC, id DESC"
	}
	if !f.active.IsZero() {
		and("until > ?", millis(f.active))
	}
	if f.scenario != "" {
		and("scenario = ?", f.scenario)
	}
	if f.origin != "" {
		and("origin = ?", f.origin)
	}
	if f.after != (position{}) {
		and("(created, id) < (?, ?)", f.after.created, f.after.id)
	}
	return "SELECT " + decisionColumns + ", NULL FROM decisions WHERE " + strings.Join(where, " AND ") +
		" ORDER BY " + order + " LIMIT ?", append(args, f.limit)
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
	rows, err := f.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ps []netip.Prefix
	for rows.Next() {
		var prefix string
		if err := rows.Scan(&prefix); err != nil {
			return nil, err
		}
		p, err := netip.ParsePrefix(prefix)
		if err != nil {
			return nil, damaged{fmt.Errorf("decision about %q: %w", prefix, err)}
		}
		ps = append(ps, p)
	}
	return ps, rows.Err()
}

func (f *file) query(ctx context.Context, query string, args ...any) ([]Decision, error) {
	rows, err := f.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ds []Decision
	for rows.Next() {
		d, err := scanDecision(rows)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, rows.Err()
}

func scanDecision(rows *sql.Rows) (Decision, error) {
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
	if why != nil {
		d.Context = new(Context)
		if err := json.Unmarshal(why, d.Context); err != nil {
			return d, damaged{fmt.Errorf("context of decision %s: %w", d.ID, err)}
		}
	}
	d.At, d.Created, d.Until = fromMillis(at), fromMillis(created), fromMillis(until)
	d.Arrived, d.Removed = fromMillis(arrived), fromMillis(removed)
	return d, nil
}

func (f *file) purge(ctx context.Context, ended, lifted time.Time, limit int) (int, error) {
	n := int64(0)
	err := f.transact(ctx, func(tx *sql.Tx) error {
		for _, q := range []struct {
			delete string
			before time.Time
		}{
			{"DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE until < ? LIMIT ?)", ended},
			{"DELETE FROM unbans WHERE prefix IN (SELECT prefix FROM unbans WHERE at < ? LIMIT ?)", lifted},
		} {
			res, err := tx.ExecContext(ctx, q.delete, millis(q.before), limit)
			if err != nil {
				return err
			}
			k, err := res.RowsAffected()
			if err != nil {
				return err
			}
			n += k
		}
		return nil
	})
	if err != nil {
		return 0, f.explain("purge ended decisions from", err)
	}
	return int(n), nil
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
