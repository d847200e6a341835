package ban

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func openRaw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t testing.TB, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(query, err)
	}
}

func TestRestart(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openTest(t, dir, Config{Now: c.Now})
	s.Alert(alert("192.0.2.1/32", noon))
	s.Alert(alert("192.0.2.2/32", noon))
	s.Alert(alert("2001:db8::/64", noon))
	over, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("2001:db8::/64"), Until: noon.Add(30 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(t.Context(), netip.MustParsePrefix("192.0.2.2/32")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	c.advance(time.Minute)
	s = openTest(t, dir, Config{Now: c.Now, Allowlist: []netip.Prefix{netip.MustParsePrefix("2001:db8::5/128")}})
	if got := fmt.Sprint(inForceOf(s, c.now())); got != "[192.0.2.1]" {
		t.Errorf("in force after a restart: %s", got)
	}
	if got := listAll(t, s, Query{}); len(got) != 1 {
		t.Errorf("shown as in force after the allowlist grew: %+v", got)
	}
	for client, want := range map[string]bool{"192.0.2.1/32": true, "192.0.2.2/32": false, "2001:db8::/64": true} {
		if got := s.Banned(netip.MustParsePrefix(client), noon.UnixMilli()); got != want {
			t.Errorf("%s banned at noon: %t", client, got)
		}
	}
	got, _, err := s.Get(t.Context(), over.ID)
	if got.Hit = over.Hit; err != nil || got != over {
		t.Errorf("the allowlist changed a ban that was over: %+v, %v", got, err)
	}
	s.Alert(alert("192.0.2.2/32", noon)) // replayed
	mustCommit(t, s)
	if got := fmt.Sprint(inForceOf(s, c.now())); got != "[192.0.2.1]" {
		t.Errorf("an unban did not survive the restart: %s", got)
	}
}

func TestFileModes(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Config{})
	s.Alert(alert("192.0.2.1/32", time.Now()))
	mustCommit(t, s)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 { // the write-ahead log, at least
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestDurability(t *testing.T) {
	st, err := openFile(t.Context(), filepath.Join(t.TempDir(), "bans.db"), busyTimeout, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		var got string
		if err := st.writer.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %s, %v; want %s", pragma, got, err, want)
		}
	}
	if _, err := st.reader.Exec("DELETE FROM decisions"); err == nil {
		t.Error("a reading connection wrote")
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "100%.db", "what?.db", "#1.db", "a&b=c;d.db", "ü.db", "%41.db"} {
		dir := t.TempDir()
		st, err := openFile(t.Context(), filepath.Join(dir, name), busyTimeout, zap.NewNop())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		put(t, st, stored("a", "192.0.2.1/32", noon))
		if err := st.close(); err != nil {
			t.Error(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 2 || files[0].Name() != name || files[1].Name() != name+lockSuffix {
			t.Errorf("%s: the directory holds %v, %v", name, files, err)
		}
	}
}

func TestOpenRefusesFile(t *testing.T) {
	content := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name, want string
		prepare    func(t *testing.T, path string)
	}{
		{"garbage", "move it away", content(strings.Repeat("garbage ", 1000))},
		{"other program", "another program", func(t *testing.T, path string) { mustExec(t, openRaw(t, path), "CREATE TABLE x (y)") }},
		{"newer", "newer Weir (schema 99", func(t *testing.T, path string) {
			st, err := openFile(t.Context(), path, busyTimeout, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			st.close()
			mustExec(t, openRaw(t, path), "PRAGMA user_version = 99")
		}},
		{"bad row", "move it away", func(t *testing.T, path string) {
			st, err := openFile(t.Context(), path, busyTimeout, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			put(t, st, stored("a", "192.0.2.1/32", time.Now()))
			st.close()
			mustExec(t, openRaw(t, path), "UPDATE decisions SET prefix = 'everybody'")
		}},
		{"overwritten pages", "move it away", func(t *testing.T, path string) {
			st, err := openFile(t.Context(), path, busyTimeout, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				put(t, st, stored(fmt.Sprint(i), "192.0.2.1/32", time.Now()))
			}
			st.close()
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte(strings.Repeat("garbage ", 20000)), 4096); err != nil {
				t.Fatal(err)
			}
		}},
		{"directory", "bans.db", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bans.db")
			tc.prepare(t, path)
			s, err := Open(t.Context(), Config{Path: path, Duration: time.Hour})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not mention %q and the file: %v", tc.want, err)
			}
		})
	}
	if _, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "no", "where"), Duration: time.Hour}); err == nil {
		t.Error("opened a file in a directory that is not there")
	}
}

// A full disk costs nothing but time.
func TestDiskFull(t *testing.T) {
	st, err := openFile(t.Context(), filepath.Join(t.TempDir(), "bans.db"), busyTimeout, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s := testStore(t, Config{}, st)
	defer s.Close()
	mustExec(t, st.writer, "PRAGMA max_page_count = 8")
	for i := range 100 {
		s.Alert(alert(fmt.Sprintf("192.0.2.%d/32", i), time.Now()))
	}
	for range 2 {
		if err := s.Commit(t.Context()); err == nil || !strings.Contains(err.Error(), "make room") {
			t.Fatalf("a full disk: %v", err)
		}
		if got := listAll(t, s, Query{}); len(got) != 0 {
			t.Errorf("%d decisions of a failed transaction are shown", len(got))
		}
		if got := inForceOf(s, time.Now()); len(got) != 100 {
			t.Errorf("%d bans enforced, want 100", len(got))
		}
	}
	mustExec(t, st.writer, "PRAGMA max_page_count = 100000")
	mustCommit(t, s)
	if got := listAll(t, s, Query{}); len(got) != 100 {
		t.Errorf("%d decisions shown, want 100", len(got))
	}
}

func TestLockedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans.db")
	st, err := openFile(t.Context(), path, time.Millisecond, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s := testStore(t, Config{}, st)
	defer s.Close()
	other := openRaw(t, path)
	other.SetMaxOpenConns(1)
	mustExec(t, other, "BEGIN IMMEDIATE")
	s.Alert(alert("192.0.2.1/32", time.Now()))
	if err := s.Commit(t.Context()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a locked file: %v", err)
	}
	mustExec(t, other, "ROLLBACK")
	mustCommit(t, s)
	if got := listAll(t, s, Query{}); len(got) != 1 {
		t.Errorf("%d decisions shown, want 1", len(got))
	}
}

func TestCancelledCommit(t *testing.T) {
	s := openTest(t, t.TempDir(), Config{})
	s.Alert(alert("192.0.2.1/32", time.Now()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx); err == nil {
		t.Error("committed after its context had ended")
	}
	mustCommit(t, s)
	if got := listAll(t, s, Query{}); len(got) != 1 {
		t.Errorf("%d decisions shown, want 1", len(got))
	}
}

// Looking up a client reads the index of prefixes, not the whole table in order.
func TestListPlans(t *testing.T) {
	st, err := openFile(t.Context(), filepath.Join(t.TempDir(), "bans.db"), busyTimeout, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	for want, f := range map[string]filter{
		"decisions_prefix":  {limit: 10, kept: noon, prefixes: containing(netip.MustParsePrefix("192.0.2.1/32"))},
		"decisions_created": {limit: 10, kept: noon, after: position{noon.UnixMilli(), "x"}},
	} {
		query, args := f.sql()
		rows, err := st.reader.Query("EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var a, b, c int
			var detail string
			if err := rows.Scan(&a, &b, &c, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := rows.Close(); err != nil || !strings.Contains(strings.Join(plan, "; "), want) {
			t.Errorf("plan without %s: %s (%v)", want, plan, err)
		}
	}
}
