package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/internal/awslocal"
)

// visits are requests that harm nobody, one a second, until the returned func is called; count
// tells how many there were since a moment.
func (w *street) visits() (count func(since time.Time) int64, stop func()) {
	var mu sync.Mutex
	var at []time.Time
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		client := kinesis.NewFromConfig(w.cloud)
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(time.Second):
			}
			line := fmt.Sprintf("%d.000\t44.%d.%d.1\t200\tGET\twww.example.com\t/\tvisit-%d\tHTTP/2.0\tMozilla/5.0", time.Now().Unix(), n/256, n%256, n)
			mu.Lock()
			at = append(at, time.Now())
			mu.Unlock()
			_, err := client.PutRecord(w.t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("log"), Data: []byte(line), PartitionKey: aws.String(strconv.Itoa(n))})
			if err != nil {
				w.t.Error(err)
			}
		}
	})
	count = func(since time.Time) (n int64) {
		mu.Lock()
		defer mu.Unlock()
		for _, t := range at {
			if !t.Before(since) {
				n++
			}
		}
		return n
	}
	return count, sync.OnceFunc(func() { close(done); wg.Wait() })
}

// metric is the sum of all values of a metric, 0 without any.
func (r *resident) metric(name string) (sum float64) {
	r.w.t.Helper()
	code, body := r.ask("/metrics")
	if code != http.StatusOK {
		r.w.t.Fatalf("/metrics: %d", code)
	}
	found := false
	for line := range strings.Lines(body) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(key, "{"); !ok || base != name {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			r.w.t.Fatalf("/metrics: %s", line)
		}
		sum += v
		found = true
	}
	if !found {
		r.w.t.Fatalf("/metrics has no %s", name)
	}
	return sum
}

// enforced waits until an IP set has a client, for 20 s at most.
func (w *street) enforced(client string) (took time.Duration) {
	w.t.Helper()
	for begun := time.Now(); !w.holds(client); time.Sleep(500 * time.Millisecond) {
		if took = time.Since(begun); took > 20*time.Second {
			w.t.Fatalf("%s is in no IP set after %v", client, took)
		}
	}
	return took
}

// An outage of DynamoDB is five minutes in which no call about any table succeeds.
const outage = 5 * time.Minute

// outages are the ways in which DynamoDB is gone.
var outages = map[string]awslocal.FaultKind{
	"hangs": awslocal.FaultHang, "refuses": awslocal.FaultError, "resets": awslocal.FaultReset,
}

// inOutage has a service that leads, with its decisions in a table and its state in a bucket,
// meet an outage, while visitors come and now and then an attacker: attack lets one in.
func inOutage(t *testing.T, story func(t *testing.T, w *street, first *resident, visits func(time.Time) int64, attack func() string, settled func())) {
	for name, do := range outages {
		t.Run(name, func(t *testing.T) {
			inSharedStreet(t, func(t *testing.T, w *street) {
				if _, err := s3.NewFromConfig(w.cloud).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("states")}); err != nil {
					t.Fatal(err)
				}
				r := w.moveIn(observer{}, nil, inOutageSettings...)
				w.until("a ready leader", time.Minute, func() bool { return len(r.reasons()) == 0 })
				count, stop := w.visits()
				defer stop()
				clients := 0
				attack := func() string {
					clients++
					c := fmt.Sprintf("45.9.%d.1", clients) // each of a network of its own
					w.put(c)
					return c
				}
				c := attack()
				w.enforced(c)
				time.Sleep(25 * time.Second) // there are snapshots
				w.faults.Add(awslocal.Fault{Service: "dynamodb", Do: do, For: outage})
				story(t, w, r, count, attack, stop)
			})
		})
	}
}

var inOutageSettings = []string{"WEIR_BAN_TABLE=" + sharedTable, "WEIR_STATE_SNAPSHOT=s3://states/weir", "WEIR_STATE_MEMORY=16MiB", "WEIR_STATE_INTERVAL=10s", "WEIR_KINESIS_POLL=3s"}

// While DynamoDB is gone, who attacks is banned and written to the IP sets as before, on
// what is held; what operators are to be woken by says so; and nothing is read again after.
func TestOutage(t *testing.T) {
	inOutage(t, func(t *testing.T, w *street, r *resident, visits func(time.Time) int64, attack func() string, stop func()) {
		begun := time.Now()
		leaseErrors, lookErrors := r.metric("weir_kinesis_lease_table_errors_total"), r.metric("weir_kinesis_look_errors_total")
		var banned []string
		for n := 1; n <= 14; n++ { // one each 20 s
			c := attack()
			took := w.enforced(c)
			banned = append(banned, c)
			if code, body := r.ask("/healthz"); code != http.StatusOK {
				t.Fatalf("%v into the outage it is not alive: %s", time.Since(begun), body)
			}
			time.Sleep(20*time.Second - took)
			if n == 3 { // a minute is over, and everybody who can know does
				why := r.reasons()
				for _, part := range []string{"stream: ", "leader: the lease was last renewed at ", "decisions: ", "state: the latest snapshot is "} {
					if !contains(why, part) {
						t.Errorf("/readyz says nothing of %q: %q", part, why)
					}
				}
			}
			if n < 3 {
				continue
			}
			more, looks := r.metric("weir_kinesis_lease_table_errors_total"), r.metric("weir_kinesis_look_errors_total")
			if more <= leaseErrors || looks <= lookErrors {
				t.Errorf("%v into the outage the errors of the lease table do not rise: %v, %v", time.Since(begun), more, looks)
			}
			leaseErrors, lookErrors = more, looks
			if age := r.metric("weir_leader_lease_age_seconds"); age < 30 || r.metric("weir_leader") != 1 {
				t.Errorf("the leader's lease is %v s old, and it leads: %v", age, r.metric("weir_leader"))
			}
			if age := r.metric("weir_state_age_seconds"); age < 30 {
				t.Errorf("the state that is kept is %v s old", age)
			}
		}
		time.Sleep(time.Until(begun.Add(outage)))
		back := w.until("a ready service", time.Minute, func() bool { return len(r.reasons()) == 0 })
		w.until("decisions in the table", 10*time.Second, func() bool {
			return !slices.ContainsFunc(banned, func(c string) bool { return !r.shows(c) })
		})
		stop()
		time.Sleep(10 * time.Second)
		if got, want := r.s.handled(), visits(time.Time{})+int64(len(banned))+1; got != want || !w.holds(banned...) {
			t.Errorf("%d records were handled of %d", got, want)
		}
		t.Logf("%d bans in the outage, well %v after it", len(banned), back)
		r.stop()
	})
}

// A task that dies in the outage leaves to its successor no more to read again than what came
// since the outage began, and in the interval of snapshots and the time of a read before it; and what was banned stays so.
func TestCrashInOutage(t *testing.T) {
	const interval = 10 * time.Second
	inOutage(t, func(t *testing.T, w *street, first *resident, visits func(time.Time) int64, attack func() string, stop func()) {
		begun := time.Now()
		var banned []string
		for range 3 {
			time.Sleep(time.Minute)
			c := attack()
			banned = append(banned, c)
			w.enforced(c)
		}
		time.Sleep(30 * time.Second)
		first.kill()
		died := time.Now()
		next := w.moveIn(observer{}, nil, inOutageSettings...)
		time.Sleep(20 * time.Second)
		late := attack() // nobody reads
		if code, body := next.ask("/healthz"); code != http.StatusOK || len(next.reasons()) == 0 {
			t.Errorf("the successor: %d %s; %q", code, body, next.reasons())
		}
		time.Sleep(time.Until(begun.Add(outage)))
		took := w.until("the successor to read", time.Minute, next.reads)
		w.enforced(late)
		w.until("what was decided before", 30*time.Second, func() bool {
			return !slices.ContainsFunc(append(banned, late), func(c string) bool { return !next.shows(c) })
		})
		if !w.holds(append(banned, late)...) {
			t.Error("a ban of the outage is in no IP set any more")
		}
		stop()
		time.Sleep(10 * time.Second)
		bans := func(since time.Time) int64 { // each is a record
			if since.Before(died) {
				return int64(len(banned)) + 1
			}
			return 1
		}
		handled, fresh := next.s.handled(), visits(died)+bans(died)
		again, window := handled-fresh, visits(begun)-visits(died)+int64(len(banned))
		most := window + visits(begun.Add(-interval-6*time.Second)) - visits(begun)
		if again > most || again < window/2 {
			t.Errorf("%d records were read again; %d came in the outage before the crash, and %d since the snapshot before it", again, window, most)
		}
		t.Logf("%d records of %d were read again (%d came in the outage before the crash); shards %v after it", again, handled, window, took)
		next.stop()
		<-first.done
	})
}
