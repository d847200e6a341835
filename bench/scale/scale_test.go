package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestGate: what a shut gate keeps back is answered as if there were nothing, with the iterator
// that the task has; an open one passes it on and counts it.
func TestGate(t *testing.T) {
	served := 0
	large := strings.Repeat("x", 2*smallPage)
	g := newGate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "GetRecords") && served > 2 {
			w.Write([]byte(large))
		}
	}), time.Millisecond)
	call := func(role, action string) string {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"ShardIterator":"here"}`))
		r.Header.Set("X-Amz-Target", "Kinesis_20131202."+action)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+role+"-1/20260301/us-east-1/kinesis/aws4_request")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w.Body.String()
	}
	call("ingest", "PutRecords")
	if served != 1 {
		t.Fatal("it keeps back what is no read")
	}
	var page struct {
		NextShardIterator string
		Records           []any
	}
	if err := json.Unmarshal([]byte(call("ingest", "GetRecords")), &page); err != nil || page.NextShardIterator != "here" || page.Records == nil || served != 1 {
		t.Errorf("while it is shut: %+v, %v, %d calls", page, err, served)
	}
	g.lift("ingest")
	call("ingest", "GetRecords") // which is answered with nothing
	if r := g.reads("ingest"); served != 2 || r.bytes != 0 {
		t.Errorf("an empty page: %+v, %d calls", r, served)
	}
	if got := call("ingest", "GetRecords"); got != large {
		t.Errorf("while it is open: %.20q", got)
	}
	if r := g.reads("ingest"); r.bytes != len(large) || r.last.IsZero() {
		t.Errorf("a page: %+v", r)
	}
	call("detect", "GetRecords")
	g.shut("ingest")
	call("ingest", "GetRecords")
	if served != 3 || g.reads("detect").bytes != 0 {
		t.Errorf("%d calls came through", served)
	}
}

// TestProcessClock: the CPU time of a process is what that process itself is told.
func TestProcessClock(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	told := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	const tick = 10 * time.Millisecond // kernels round differently
	least := told()
	used, err := (&task{cmd: &exec.Cmd{Process: self}}).cpu()
	if most := told(); err != nil || used < least-tick || used > most+tick {
		t.Errorf("%v, %v; told %v before and %v after", used, err, least, most)
	}
}

func TestRowsAreHeldAgainstTheCheapest(t *testing.T) {
	r := func(name string, ns float64, beside bool) *row {
		return &row{workload: &workload{name: name, beside: beside}, cpu: map[string]float64{"ingest": ns - 100, "detect": 100}}
	}
	var out strings.Builder
	missed := (&table{name: "tasks"}).print(&out, []*row{r("alone", 500, true), r("1", 1000, false), r("2", 1499, false), r("3", 1501, false)})
	if text := out.String(); missed != 1 || strings.Count(text, "pass") != 2 || strings.Count(text, "FAIL") != 1 {
		t.Errorf("%d missed:\n%s", missed, text)
	}
	if missed := (&table{}).print(&out, nil); missed != 0 {
		t.Error("a table without rows misses the bar")
	}
}
