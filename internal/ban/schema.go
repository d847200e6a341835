package ban

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.uber.org/zap"
)

const (
	// schemaVersion is raised with every change of the tables or of the JSON in
	// them, and openFile learns to carry older files over.
	schemaVersion = 3

	// applicationID tells a file of ours from another program's: "Weir".
	applicationID = 0x57656972

	// busyTimeout is how long a lock that another process holds is waited for.
	busyTimeout = 5 * time.Second

	readers = 4 // connections that serve the API
)

// schema keeps times as Unix milliseconds, 0 for none, and prefixes in their
// usual text. The context comes last so that rows are read without its pages.
const schema = `
CREATE TABLE decisions (
	id       TEXT PRIMARY KEY,
	prefix   TEXT NOT NULL,
	action   TEXT NOT NULL,
	scenario TEXT NOT NULL,
	origin   TEXT NOT NULL,
	reason   TEXT NOT NULL,
	severity INTEGER NOT NULL,
	staged   INTEGER NOT NULL,
	held     TEXT NOT NULL,
	wide     INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	until    INTEGER NOT NULL,
	arrived  INTEGER NOT NULL,
	removed  INTEGER NOT NULL,
	context  BLOB
) STRICT;
CREATE INDEX decisions_created ON decisions (created, id);
CREATE INDEX decisions_until ON decisions (until);
CREATE INDEX decisions_prefix ON decisions (prefix);
CREATE TABLE unbans (
	prefix TEXT PRIMARY KEY,
	at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
` + schema3

// schema3 is what version 3 added: alerts of their own, the allowlist that people
// change while the service runs, who did what, and secrets.
const schema3 = `
CREATE TABLE alerts (
	id       TEXT PRIMARY KEY,
	prefix   TEXT NOT NULL,
	scenario TEXT NOT NULL,
	at       INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	until    INTEGER NOT NULL,
	decision TEXT NOT NULL,
	refused  TEXT NOT NULL,
	context  BLOB
) STRICT;
CREATE INDEX alerts_created ON alerts (created, id);
CREATE INDEX alerts_until ON alerts (until);
CREATE INDEX alerts_prefix ON alerts (prefix);
CREATE TABLE allowlist (
	prefix  TEXT PRIMARY KEY,
	comment TEXT NOT NULL,
	author  TEXT NOT NULL,
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	removed INTEGER NOT NULL,
	version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
	id     TEXT PRIMARY KEY,
	at     INTEGER NOT NULL,
	actor  TEXT NOT NULL,
	action TEXT NOT NULL,
	target TEXT NOT NULL,
	detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at, id);
CREATE TABLE secrets (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
`

// openFile opens the SQLite file at path, making it with mode 0600 if it is not
// there. A file of another program, of a newer Weir, or a damaged one is refused, and
// one that another process works with and does not give up within the time busy.
func openFile(ctx context.Context, path string, busy time.Duration, log *zap.Logger) (_ *file, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open decisions file %s: %w", path, err)
	}
	f := &file{path: abs, bad: unreadable{log: log}}
	if err = create(abs); err != nil {
		return nil, fmt.Errorf("open decisions file: %w", err)
	}
	if f.lock, err = lock(ctx, abs, busy); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.lock.Close()
		}
	}()
	// "FULL" makes a commit wait for the disk: what was shown survives a power cut.
	f.writer, err = connect(abs, busy, 1, "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)")
	if err != nil {
		return nil, f.explain("open", err)
	}
	if err = f.transact(ctx, func(tx *sql.Tx) error { return prepare(ctx, tx) }); err != nil {
		return nil, errors.Join(f.explain("open", err), f.writer.Close())
	}
	f.reader, err = connect(abs, busy, readers, "query_only(1)")
	if err != nil {
		return nil, errors.Join(f.explain("open", err), f.writer.Close())
	}
	return f, nil
}

// create makes an empty file, which SQLite takes for an empty database, since
// SQLite itself would leave the mode to the umask. The files beside it get the
// mode of this one.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func connect(path string, busy time.Duration, most int, pragmas ...string) (*sql.DB, error) {
	options := url.Values{"_txlock": {"immediate"}}
	options.Add("_pragma", "busy_timeout("+strconv.FormatInt(busy.Milliseconds(), 10)+")")
	for _, p := range pragmas {
		options.Add("_pragma", p)
	}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// prepare makes the tables in an empty file, or makes sure that it has ours.
func prepare(ctx context.Context, tx *sql.Tx) error {
	var app, version, tables int
	if err := errors.Join(
		tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app),
		tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version),
		tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables),
	); err != nil {
		return err
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		_, err := tx.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion))
		return err
	case app != applicationID:
		return errors.New("this is the database of another program: name a file of its own for Weir")
	case version > schemaVersion:
		return fmt.Errorf("written by a newer Weir (schema %d, this one knows up to %d): run that version, or move the file away to start without what it holds", version, schemaVersion)
	}
	return migrate(ctx, tx, version)
}

// migrations carry a file over to the next version of the schema; the first one
// is of version 1. New columns go behind the context of old rows: to write all of
// them again would take as much room on the disk as they have now.
var migrations = [...]string{`
ALTER TABLE decisions ADD COLUMN severity INTEGER NOT NULL DEFAULT 1;
ALTER TABLE decisions ADD COLUMN staged   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decisions ADD COLUMN held     TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN wide     INTEGER NOT NULL DEFAULT 0;
UPDATE decisions SET severity = 4 WHERE origin = 'manual';
`, schema3}

func migrate(ctx context.Context, tx *sql.Tx, version int) error {
	if version < 1 {
		return damaged{fmt.Errorf("schema version %d", version)}
	}
	for ; version < schemaVersion; version++ {
		if _, err := tx.ExecContext(ctx, migrations[version-1]+fmt.Sprintf("PRAGMA user_version = %d;", version+1)); err != nil {
			return fmt.Errorf("carry it over from schema %d: %w", version, err)
		}
	}
	return nil
}
