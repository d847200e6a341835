package leader

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/internal/awslocal"
)

// Of several processes one leads; when it stops, another does so within 3 s, and
// when it crashes, within 15 s. Epochs only grow.
func TestOneLeads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.run("a", nil)
		if took := w.until("leader", time.Second, a.leads); took > 0 {
			t.Logf("the first leads after %v", took)
		}
		first := a.leading.Load()
		if now := uint64(time.Now().UnixMilli()); first > now || first < now-1000 {
			t.Errorf("epoch %d at %d", first, now)
		}
		b, c := w.run("b", nil), w.run("c", nil)
		time.Sleep(time.Minute)
		if b.leads() || c.leads() || a.leading.Load() != first {
			t.Fatal("the leadership moved without need")
		}
		if st := b.l.Status(); st.Leads || st.Holder != "a" || st.Epoch != first || st.Err != nil {
			t.Errorf("a standby says %+v", st)
		}

		a.lastWord = 5 * time.Second
		a.cancel()
		time.Sleep(4 * time.Second)
		if b.leads() || c.leads() {
			t.Error("another leads before the last round is over")
		}
		<-a.done
		stopped := time.Now()
		w.until("next leader", 3*time.Second, func() bool { return b.leads() || c.leads() })
		t.Logf("after a clean stop another leads within %v", time.Since(stopped))
		second := b.leading.Load() + c.leading.Load()

		if !b.leads() {
			b, c = c, b
		}
		died := time.Now()
		b.kill()
		w.until("next leader", 15*time.Second-time.Since(died), c.leads)
		took := time.Since(died)
		t.Logf("after a crash another leads within %v", took)
		if third := c.leading.Load(); first >= second || second >= third {
			t.Errorf("epochs %d, %d, %d", first, second, third)
		}
		c.stop()
		if r := w.row(); r.holder != "" || r.epoch < second {
			t.Errorf("in the end the row is %+v", r)
		}
	})
}

// However often a crash happens, and at whatever point between two renewals, the
// takeover is in time.
func TestTakeoverTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults.Add(awslocal.Fault{Do: awslocal.FaultDelay, Delay: 50 * time.Millisecond})
		var longest time.Duration
		at := w.run("0", nil)
		w.until("leader", 2*time.Second, at.leads)
		for i := range 40 {
			next := w.run(string(rune('A'+i)), nil)
			time.Sleep(5*time.Second + time.Duration(i)*97*time.Millisecond)
			died := time.Now()
			at.kill()
			w.until("next leader", 15*time.Second-time.Since(died), next.leads)
			longest = max(longest, time.Since(died))
			at = next
		}
		t.Logf("taken over within %v", longest)
		at.stop()
	})
}

// An outage of the table changes nothing: the holder leads on, nobody else does, and
// afterwards it is the same term.
func TestTableGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.run("a", nil), w.run("b", nil)
		w.until("leader", 2*time.Second, func() bool { return a.leads() || b.leads() })
		if b.leads() {
			a, b = b, a
		}
		epoch := a.leading.Load()
		time.Sleep(10 * time.Second)
		w.down(5 * time.Minute)
		for end := time.Now().Add(6 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
			if a.leading.Load() != epoch || b.leads() {
				t.Fatalf("it is led by %d and %d", a.leading.Load(), b.leading.Load())
			}
			if silent := time.Since(w.last().at); silent > 4*time.Second {
				t.Fatalf("the leader has done nothing for %v", silent)
			}
			if err := a.l.Status().Err; err == nil && time.Until(end) > 70*time.Second && time.Until(end) < 340*time.Second {
				t.Fatal("an outage is not told of")
			}
		}
		if a.l.Status().Err != nil || testutil.ToFloat64(a.l.m.errors) == 0 {
			t.Error("the outage was not counted, or is not over")
		}
		a.stop()
		b.stop()
	})
}

// When the grace is over the holder stops, and begins anew when the table is back.
func TestGrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.run("a", func(c *Config) { c.Grace = time.Minute })
		w.until("leader", time.Second, a.leads)
		epoch := a.leading.Load()
		w.down(5 * time.Minute)
		took := w.until("end of the term", 2*time.Minute, func() bool { return !a.leads() })
		if took < time.Minute || took > 80*time.Second {
			t.Errorf("it ended after %v", took)
		}
		if acted := w.last().at; time.Since(acted) > 20*time.Second {
			t.Errorf("its last act was %v ago", time.Since(acted))
		}
		w.until("leader again", 5*time.Minute, a.leads)
		if a.leading.Load() <= epoch {
			t.Error("the epoch has not grown")
		}
		if n := testutil.ToFloat64(a.l.m.ended.WithLabelValues(endedSilent)); n != 1 {
			t.Errorf("%v terms ended in silence", n)
		}
		a.stop()
	})
}

// A process that was paused learns that another leads before it does anything; and
// it may lead again later.
func TestPaused(t *testing.T) {
	for _, pause := range []time.Duration{5 * time.Second, 7 * time.Second, 13 * time.Second, time.Minute} {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.run("a", nil)
			w.until("leader", time.Second, a.leads)
			b := w.run("b", nil)
			time.Sleep(10 * time.Second)
			epoch := a.leading.Load()
			resume := a.link.pause()
			time.Sleep(pause)
			taken := b.leads()
			if taken != (pause > 12*time.Second) {
				t.Errorf("after %v without a word of the leader, another leads: %t", pause, taken)
			}
			resume() // what it does from here on, the auditor judges
			time.Sleep(time.Second)
			if a.leads() == taken || !taken && a.leading.Load() != epoch {
				t.Errorf("after a pause of %v it leads: %t", pause, a.leads())
			}
			time.Sleep(10 * time.Second)
			if !taken {
				a.stop()
				b.stop()
				return
			}
			b.stop()
			w.until("the paused one", 3*time.Second, a.leads)
			a.stop()
		})
	}
}

// A process that was paused and then gets no answer does nothing: another may lead.
func TestPausedIntoAnOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.run("a", nil)
		w.until("leader", time.Second, a.leads)
		b := w.run("b", nil)
		time.Sleep(10 * time.Second)
		resume := a.link.pause()
		w.until("takeover", 15*time.Second, b.leads)
		w.down(2 * time.Minute)
		paused := time.Now()
		resume()
		time.Sleep(100 * time.Second)
		if act := w.lastOf("a"); act.at.After(paused) {
			t.Errorf("it acts %v after the pause", act.at.Sub(paused))
		}
		if !b.leads() || w.last().worker != "b" || time.Since(w.last().at) > 4*time.Second {
			t.Error("the new leader does not go on in the outage")
		}
		time.Sleep(30 * time.Second)
		if a.leads() {
			t.Error("it did not learn that another leads")
		}
		a.stop()
		b.stop()
	})
}

// Where every call fails at once, who waits to know whether he leads does not make
// the process ask in a loop.
func TestNoBusyAsking(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.run("a", nil)
		w.until("leader", time.Second, a.leads)
		resume := a.link.pause()
		time.Sleep(20 * time.Second)
		w.faults.Add(awslocal.Fault{Service: "dynamodb", For: time.Minute, Do: awslocal.FaultReset})
		resume()
		time.Sleep(50 * time.Second)
		if n := testutil.ToFloat64(a.l.m.errors); n < 20 || n > 110 {
			t.Errorf("%v calls in 50 s", n)
		}
		time.Sleep(12 * time.Second)
		if silent := time.Since(w.last().at); !a.leads() || silent > time.Second {
			t.Errorf("it does not go on after the outage: its last act was %v ago", silent)
		}
		a.stop()
	})
}

// Answers that get lost after the write was applied do no harm, wherever.
func TestLostAnswers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lose := func(times int) {
			w.faults.Add(awslocal.Fault{Service: "dynamodb", Action: "UpdateItem", Times: times, Do: awslocal.FaultResetAfter})
		}
		lose(1)
		a := w.run("a", nil)
		w.until("leader", 3*time.Second, a.leads)
		if n := testutil.ToFloat64(a.l.m.taken.WithLabelValues(takenOwn)); n != 1 {
			t.Errorf("of a lease whose taking got no answer it is said %v times that it was its own", n)
		}
		epoch := a.leading.Load()
		b := w.run("b", nil)
		lose(20)
		time.Sleep(time.Minute)
		if a.leading.Load() != epoch || b.leads() {
			t.Error("lost answers made the leadership move")
		}
		lose(1)
		begun := time.Now()
		a.stop()
		w.until("next leader", 3*time.Second-time.Since(begun), b.leads)
		// A try that comes late is of no consequence.
		w.faults.Add(awslocal.Fault{Service: "dynamodb", Action: "UpdateItem", Times: 1, Do: awslocal.FaultLate, Delay: 8 * time.Second})
		epoch = b.leading.Load()
		time.Sleep(time.Minute)
		if b.leading.Load() != epoch {
			t.Error("a late write made the leadership move")
		}
		b.stop()
	})
}

// An epoch grows even if the clock of who leads is behind that of who led.
func TestEpochBeatsTheClock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ahead := uint64(time.Now().Add(time.Hour).UnixMilli())
		other := &table{api: w.d, name: "leases", worker: "ahead"}
		r, err := other.take(t.Context(), row{}, ahead)
		if err == nil {
			err = other.write(t.Context(), ahead, r.revision+1, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		a := w.run("a", nil)
		w.until("leader", time.Second, a.leads)
		if a.leading.Load() != ahead+1 {
			t.Errorf("epoch %d after %d", a.leading.Load(), ahead)
		}
		a.stop()
	})
}

// Who may not lead waits, and who may not any more gives the lease back at once.
func TestEligible(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.run("a", nil), w.run("b", nil)
		a.eligible.Store(false)
		b.eligible.Store(false)
		time.Sleep(5 * time.Second)
		w.until("end of a term", time.Second, func() bool { return !a.leads() && !b.leads() })
		time.Sleep(30 * time.Second)
		if a.leads() || b.leads() {
			t.Error("one leads that may not")
		}
		b.eligible.Store(true)
		w.until("leader", 1500*time.Millisecond, b.leads)
		a.eligible.Store(true)
		b.eligible.Store(false)
		w.until("next leader", 3*time.Second, a.leads)
		if n := testutil.ToFloat64(b.l.m.ended.WithLabelValues(endedIneligible)); n < 1 {
			t.Error("the reason was not counted")
		}
		a.stop()
		b.stop()
	})
}

// A lease whose row somebody has deleted is lost, and it is not said that another has it.
func TestEmptied(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.run("a", nil)
		w.until("leader", time.Second, a.leads)
		epoch := a.leading.Load()
		if _, err := w.d.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: new("leases"), Key: rowKey()}); err != nil {
			t.Fatal(err)
		}
		w.until("next term", 10*time.Second, func() bool { return a.leads() && a.leading.Load() > epoch })
		for why, want := range map[string]float64{endedEmptied: 1, endedLost: 0} {
			if n := testutil.ToFloat64(a.l.m.ended.WithLabelValues(why)); n != want {
				t.Errorf("%v terms ended as %s", n, why)
			}
		}
		a.stop()
	})
}

// An error ends the run, and the lease is another's at once; nil is no reason not
// to lead again.
func TestLeadReturns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.run("a", nil)
		w.until("leader", time.Second, a.leads)
		epoch := a.leading.Load()
		a.fail <- nil
		w.until("next term", 3*time.Second, func() bool { return a.leads() && a.leading.Load() > epoch })
		b := w.run("b", nil)
		failure := errors.New("no more")
		a.fail <- failure
		<-a.done
		if !errors.Is(a.err, failure) {
			t.Errorf("Run: %v", a.err)
		}
		w.until("next leader", 3*time.Second, b.leads)
		b.stop()
	})
}

// A table that hangs does not keep a process from stopping.
func TestStopWithoutTable(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.run("a", nil)
		w.until("leader", time.Second, a.leads)
		time.Sleep(5 * time.Second)
		w.faults.Add(awslocal.Fault{Service: "dynamodb", For: time.Minute, Do: awslocal.FaultHang})
		time.Sleep(3 * time.Second)
		begun := time.Now()
		a.stop()
		if took := time.Since(begun); took > giveBackTime+100*time.Millisecond {
			t.Errorf("it stopped after %v", took)
		}
		b := w.run("b", nil)
		begun = time.Now()
		b.stop()
		if took := time.Since(begun); took > time.Millisecond {
			t.Errorf("one that waits stopped after %v", took)
		}
	})
}

func TestMetrics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		reg := prometheus.NewRegistry()
		a := w.run("a", func(c *Config) { c.Registerer = reg })
		w.until("leader", time.Second, a.leads)
		time.Sleep(10 * time.Second)
		want := func(name string, low, high float64) {
			t.Helper()
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == name {
					m := f.GetMetric()[0]
					if v := m.GetGauge().GetValue() + m.GetCounter().GetValue(); v < low || v > high {
						t.Errorf("%s is %v", name, v)
					}
					return
				}
			}
			t.Errorf("there is no %s", name)
		}
		epoch := float64(a.leading.Load())
		want("leader", 1, 1)
		want("leader_epoch", epoch, epoch)
		want("leader_lease_age_seconds", 0, 3)
		want("leader_table_errors_total", 0, 0)
		w.down(time.Minute)
		time.Sleep(50 * time.Second)
		want("leader_lease_age_seconds", 47, 53)
		want("leader_table_errors_total", 10, 60)
		time.Sleep(20 * time.Second)
		a.stop()
		want("leader", 0, 0)
		want("leader_lease_age_seconds", 0, 0)
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
	})
}

func TestConfig(t *testing.T) {
	_, err := New(Config{Failover: time.Hour})
	for _, what := range []string{"table", "name", "region", "failover"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("nothing is said of the %s: %v", what, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := New(Config{AWS: awsConfig(nil), Table: "t", Worker: "w", Grace: -1}); err != nil {
			t.Error(err)
		}
	})
}
