package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/awslocal"
	"weir/internal/ban"
)

// However long AWS is down or says no, and however idle the stream is, the service is
// alive, says what is missing, and is well again when AWS is.
func TestHealth(t *testing.T) {
	all := func(service string, do awslocal.FaultKind) awslocal.Fault {
		return awslocal.Fault{Service: service, Do: do}
	}
	denied := func(service, code string) awslocal.Fault {
		return awslocal.Fault{Service: service, Do: awslocal.FaultError, Code: code}
	}
	for name, tt := range map[string]struct {
		faults []awslocal.Fault
		says   []string // beginnings of what is missing; none: the service is ready
		long   bool     // longer than any grace
	}{
		"an idle stream":       {},
		"Kinesis fails":        {faults: []awslocal.Fault{all("kinesis", awslocal.FaultError)}, says: []string{"stream: "}},
		"DynamoDB fails":       {faults: []awslocal.Fault{all("dynamodb", awslocal.FaultError)}, says: []string{"stream: ", "leader: "}},
		"DynamoDB hangs":       {faults: []awslocal.Fault{all("dynamodb", awslocal.FaultHang)}, says: []string{"stream: ", "leader: "}},
		"WAF throttles":        {faults: []awslocal.Fault{all("wafv2", awslocal.FaultThrottle)}, says: []string{"IP sets: "}},
		"WAF hangs":            {faults: []awslocal.Fault{all("wafv2", awslocal.FaultHang)}, says: []string{"IP sets: "}},
		"no right to write":    {faults: []awslocal.Fault{{Service: "wafv2", Action: "UpdateIPSet", Do: awslocal.FaultError, Code: "AccessDeniedException"}}, says: []string{"IP sets: "}},
		"everything cut off":   {faults: []awslocal.Fault{all("", awslocal.FaultReset)}, says: []string{"stream: ", "leader: "}},
		"everything hangs":     {faults: []awslocal.Fault{all("", awslocal.FaultHang)}, says: []string{"stream: ", "leader: "}, long: true},
		"credentials that end": {faults: []awslocal.Fault{denied("", "ExpiredTokenException")}, says: []string{"stream: ", "leader: "}},
	} {
		t.Run(name, func(t *testing.T) {
			inStreet(t, func(t *testing.T, w *street) {
				r := w.moveIn(observer{}, nil)
				w.until("ready service", time.Minute, func() bool { return len(r.reasons()) == 0 })
				w.put("45.9.0.1")
				w.until("ban", 10*time.Second, func() bool { return w.holds("45.9.0.1") })
				if tt.says != nil {
					w.put("45.9.0.2") // so that there is something to write
				}
				down := 3 * time.Minute
				if tt.long {
					down = 12 * time.Minute
				}
				w.faults.Add(tt.faults...)
				var said []string
				for begun := time.Now(); time.Since(begun) < down; time.Sleep(10 * time.Second) {
					if code, body := r.ask("/healthz"); code != http.StatusOK {
						t.Fatalf("after %v it is not alive: %s", time.Since(begun), body)
					}
					if time.Since(begun) > 2*time.Minute && time.Since(begun) < 10*time.Minute {
						said = r.reasons()
						for _, start := range tt.says {
							if !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, start) }) {
								t.Fatalf("after %v it says %q, and nothing of %q", time.Since(begun), said, start)
							}
						}
						if len(tt.says) == 0 && len(said) > 0 {
							t.Fatalf("it is not ready: %q", said)
						}
					}
				}
				t.Logf("said: %q", said)
				w.faults.Clear()
				w.put("45.9.0.3")
				w.until("ban after it", 2*time.Minute, func() bool { return w.holds("45.9.0.1", "45.9.0.3") })
				w.until("ready service again", 2*time.Minute, func() bool { return len(r.reasons()) == 0 })
				if tt.says != nil && !w.holds("45.9.0.2") {
					t.Error("a ban from the time of trouble is not enforced")
				}
				r.stop()
			})
		})
	}
}

// A writer that is stuck for good makes the service be restarted, and not before it
// has been so for minutes.
func TestStuckWriter(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		hold := make(chan struct{})
		r := w.moveIn(observer{enforced: func(ban.Decision, time.Time) { <-hold }}, nil)
		w.until("ready service", time.Minute, func() bool { return len(r.reasons()) == 0 })
		w.put("45.9.0.1")
		w.until("ban", 10*time.Second, func() bool { return w.holds("45.9.0.1") })
		alive := func() bool { code, _ := r.ask("/healthz"); return code == http.StatusOK }
		took := w.until("a failing /healthz", 5*time.Minute, func() bool { return !alive() })
		if took < 2*time.Minute || took > 2*time.Minute+15*time.Second {
			t.Errorf("it fails after %v", took)
		}
		if code, body := r.ask("/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "the writer of target default has not got ahead for 2m0s") {
			t.Errorf("/healthz: %d %s", code, body)
		}
		close(hold)
		w.until("a sound /healthz", time.Second, alive)
		r.stop()
	})
}
