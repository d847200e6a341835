package ban

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Whatever a person does is on record, with his name.
func TestAuditLog(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	one := netip.MustParsePrefix("192.0.2.1/32")
	ctx := WithActor(t.Context(), "alice\x1b[31m "+strings.Repeat("ü", 200))
	d, err := s.Add(ctx, Decision{Prefix: one, Reason: "scraper"})
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) { return s.RemoveID(ctx, d.ID) },
		func(ctx context.Context) (int, error) { return s.Remove(ctx, one) }, // there is nothing left
		func(ctx context.Context) (int, error) { return s.RemoveWhere(ctx, Where{Since: noon}) },
		func(ctx context.Context) (int, error) { return s.Release(ctx, "", false) },
		func(ctx context.Context) (int, error) { return s.Release(ctx, "x", true) },
		func(ctx context.Context) (int, error) { return 0, s.Note(ctx, AuditPanicOn, "web ACL a", "b") },
	} {
		c.advance(time.Second)
		if _, err := do(ctx); err != nil {
			t.Fatal(err)
		}
	}
	c.advance(time.Second)
	if _, err := s.Add(t.Context(), Decision{Prefix: one}); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Second)
	if n, err := s.Lift(WithActor(t.Context(), "IP set"), []netip.Prefix{one}, time.Hour); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, note := range [][3]string{{AuditBan, "x", ""}, {AuditPanicOff, "\x07", ""}, {AuditPanicOff, "x", strings.Repeat("x", MaxReason+1)}} {
		var refused *RefusedError
		if err := s.Note(ctx, note[0], note[1], note[2]); !errors.As(err, &refused) {
			t.Errorf("noted %q: %v", note, err)
		}
	}
	var log []string
	for cursor := ""; ; {
		page, err := s.Audit(t.Context(), cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Entries {
			log = append(log, strings.Fields(a.Actor)[0]+" "+a.Action+" "+a.Target)
			if len(a.Actor) > maxActor || strings.Contains(a.Actor, "\x1b") {
				t.Errorf("an actor of %q", a.Actor)
			}
			if a.Action == AuditBan && strings.Contains(a.Detail, d.ID) && !strings.HasSuffix(a.Detail, ": scraper") {
				t.Errorf("the ban: %q", a.Detail)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	want := "IP lift 192.0.2.1, weir ban 192.0.2.1, alice[31m panic-on web ACL a, alice[31m drop x, alice[31m release *, alice[31m flush , alice[31m unban 192.0.2.1, alice[31m ban 192.0.2.1"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
