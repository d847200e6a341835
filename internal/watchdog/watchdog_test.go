package watchdog

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Stuck is who works for two minutes without getting ahead; who waits, or gets
// ahead however slowly, never is.
func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Monitor
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var told []string
		wg.Go(func() { m.Run(ctx, func(err error) { told = append(told, err.Error()) }) })
		var idle, slow, bad, gone Loop
		for l, name := range map[*Loop]string{&idle: "idle", &slow: "slow", &bad: "bad", &gone: "gone"} {
			m.Enter(l, name)
		}
		time.Sleep(time.Hour)
		if err := m.Err(); err != nil {
			t.Error(err)
		}
		idle.Works()
		idle.Waits()
		bad.Works()
		gone.Works()
		m.Leave(&gone)
		begun := time.Now()
		for m.Err() == nil {
			slow.Works()
			if time.Sleep(time.Second); time.Since(begun) > time.Hour {
				t.Fatal("nobody is stuck")
			}
		}
		if took := time.Since(begun); took < 2*time.Minute || took > 2*time.Minute+10*time.Second {
			t.Errorf("stuck after %v", took)
		}
		slow.Works()
		for range 75 { // what Err says is as old as the latest look
			slow.Works()
			time.Sleep(time.Second)
		}
		if err := m.Err(); err == nil || !strings.HasPrefix(err.Error(), "bad has not got ahead for 3m") {
			t.Errorf("%v", err)
		}
		bad.Works()
		if err := m.Err(); err != nil {
			t.Errorf("one that got ahead is stuck: %v", err)
		}
		stop()
		wg.Wait()
		if len(told) != 1 || !strings.HasPrefix(told[0], "bad ") {
			t.Errorf("told %q", told)
		}
	})
}

// A loop that says the same again and again always says something new.
func TestEachBeatIsNews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Loop
		for range rapid.IntRange(1, 50).Draw(t, "beats") {
			before := l.beats.Load()
			works := rapid.Bool().Draw(t, "works")
			if works {
				l.Works()
			} else {
				l.Waits()
			}
			if now := l.beats.Load(); now == before || now%2 == 1 != works {
				t.Fatalf("works %t: %d after %d", works, now, before)
			}
		}
	})
}

// Without a monitor nobody is watched.
func TestNoMonitor(t *testing.T) {
	var m *Monitor
	var l Loop
	m.Enter(&l, "x")
	l.Works()
	m.Leave(&l)
}
