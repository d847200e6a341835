package ban

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// running runs s's housekeeping for as long as test takes, in fake time.
func running(t *testing.T, cfg Config, st storage, test func(t *testing.T, s *Store)) {
	synctest.Test(t, func(t *testing.T) {
		s := testStore(t, cfg, st)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		test(t, s)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestExpiry(t *testing.T) {
	running(t, Config{Duration: time.Hour, Retention: 48 * time.Hour}, newMemory(), func(t *testing.T, s *Store) {
		start := time.Now()
		changed := s.Subscribe()
		a := alert("192.0.2.1/32", start)
		s.Alert(a)
		mustCommit(t, s)
		<-changed
		last := start.Add(time.Hour - time.Millisecond).UnixMilli()

		time.Sleep(time.Hour - time.Millisecond)
		if len(inForceOf(s, time.Now())) != 1 {
			t.Error("over too soon")
		}
		time.Sleep(time.Millisecond)
		if len(inForceOf(s, time.Now())) != 0 || len(listAll(t, s, Query{})) != 0 {
			t.Error("in force after its end")
		}
		time.Sleep(lateGrace - time.Second)
		if !s.Banned(a.Client, last) {
			t.Error("a late record of the banned time is poured")
		}
		if s.Banned(a.Client, last+1) {
			t.Error("a record from after the ban is not poured")
		}
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		if s.Banned(a.Client, last) || len(s.known) != 0 || s.index.table.Load().Size() != 0 {
			t.Error("memory never forgets")
		}
		if isNotified(changed) {
			t.Error("the end of a ban was announced")
		}
		if len(listAll(t, s, Query{All: true})) != 1 {
			t.Error("history has forgotten the ban")
		}
		time.Sleep(48 * time.Hour)
		if len(listAll(t, s, Query{All: true})) != 0 {
			t.Error("history never forgets")
		}
	})
}

func remembersUnban(s *Store, p netip.Prefix, event time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unbannedSince(p, event.UnixMilli())
}

func TestUnbanIsForgottenInTheEnd(t *testing.T) {
	st := newMemory()
	running(t, Config{}, st, func(t *testing.T, s *Store) {
		p := netip.MustParsePrefix("192.0.2.1/32")
		event := time.Now()
		if _, err := s.Add(t.Context(), Decision{Prefix: p}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Remove(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(liftedLife - time.Minute)
		synctest.Wait()
		if !remembersUnban(s, p, event) {
			t.Error("forgotten too soon")
		}
		time.Sleep(2*time.Minute + purgeEvery)
		synctest.Wait()
		if remembersUnban(s, p, event) || len(st.unbans) != 0 {
			t.Error("never forgotten")
		}
	})
}

// Run stores what nobody commits, and logs trouble when it begins and ends.
func TestRunRetries(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	st := &flaky{storage: newMemory()}
	running(t, Config{Logger: zap.New(core), Duration: time.Minute}, st, func(t *testing.T, s *Store) {
		logs.TakeAll()
		st.fail.Store(true)
		a := alert("192.0.2.1/32", time.Now())
		s.Alert(a)
		time.Sleep(lateGrace + time.Hour)
		synctest.Wait()
		if s.untold.Load() != 1 || len(s.known) != 1 {
			t.Error("what is not stored was forgotten")
		}
		st.fail.Store(false)
		time.Sleep(2 * sweepEvery)
		if len(listAll(t, s, Query{All: true})) != 1 {
			t.Error("not stored though storing works again")
		}
		if n := logs.Len(); n != 2 {
			t.Errorf("%d lines of log, want one for the beginning of the trouble and one for its end: %v", n, logs.All())
		}
	})
}

// Large numbers are forgotten in batches, each in its own transaction.
func TestPurgeInBatches(t *testing.T) {
	s := testStore(t, Config{Retention: time.Hour}, newMemory())
	long := time.Now().Add(-24 * time.Hour)
	var b batch
	for range 3*purgeBatch + 7 {
		b.put = append(b.put, stored(randomID(), "192.0.2.1/32", long))
	}
	put(t, s.storage, b.put...)
	if err := s.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(listAll(t, s, Query{All: true})); n != 0 {
		t.Errorf("%d left", n)
	}
}
