package ban

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// schema1 is what the first version of the schema made, with decisions in it: a
// block of a scenario, with its context, a ban by hand, and one that is over.
const schema1 = `
CREATE TABLE decisions (
	id       TEXT PRIMARY KEY,
	prefix   TEXT NOT NULL,
	action   TEXT NOT NULL,
	scenario TEXT NOT NULL,
	origin   TEXT NOT NULL,
	reason   TEXT NOT NULL,
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
INSERT INTO decisions VALUES
	('a', '192.0.2.1/32', 'block', 'http-probing', 'scenario', '', %[1]d, %[1]d, %[2]d, %[1]d, 0,
		CAST('{"first":"2026-08-01T11:59:55Z","last":"2026-08-01T12:00:00Z","events":11,"samples":[],"paths":[],"user_agents":[],"countries":[],"asns":[]}' AS BLOB)),
	('b', '2001:db8::/64', 'captcha', '', 'manual', 'scraper', %[1]d, %[1]d, %[2]d, 0, 0, NULL),
	('c', '192.0.2.3/32', 'block', 'http-probing', 'scenario', '', %[1]d, %[1]d, %[1]d, %[1]d, %[1]d, NULL);
INSERT INTO unbans VALUES ('192.0.2.3/32', %[1]d);
PRAGMA application_id = 1466263922;
PRAGMA user_version = 1;
`

// A file of an older version opens with all that it holds, takes new decisions,
// and opens again.
func TestMigration(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	old := openRaw(t, filepath.Join(dir, "bans.db"))
	mustExec(t, old, fmt.Sprintf(schema1, noon.UnixMilli(), noon.Add(time.Hour).UnixMilli()))
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}

	s := openTest(t, dir, Config{Now: c.Now})
	check := func(want string) {
		t.Helper()
		if got := fmt.Sprint(inForceOf(s, noon)); got != want {
			t.Errorf("in force: %s, want %s", got, want)
		}
		a, ok, err := s.Get(t.Context(), "a")
		if !ok || err != nil || a.Context == nil || a.Context.Events != 11 || a.Severity != SeverityAdopted || a.Staged || a.Held != "" || a.Wide {
			t.Errorf("of a scenario: %+v, %v", a, err)
		}
		b, ok, err := s.Get(t.Context(), "b")
		if !ok || err != nil || b.Severity != SeverityManual || b.Reason != "scraper" || b.Until != noon.Add(time.Hour) {
			t.Errorf("by hand: %+v, %v", b, err)
		}
	}
	check("[192.0.2.1 2001:db8::/64]")
	s.Alert(alert("192.0.2.3/32", noon)) // an unban of the old file
	s.Alert(alert("192.0.2.4/32", noon))
	mustCommit(t, s)
	check("[192.0.2.1 192.0.2.4 2001:db8::/64]")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, Config{Now: c.Now})
	check("[192.0.2.1 192.0.2.4 2001:db8::/64]")
	page := listAll(t, s, Query{All: true})
	if len(page) != 4 {
		t.Errorf("%d decisions, want 4", len(page))
	}
}
