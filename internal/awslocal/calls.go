package awslocal

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Call is one request to a stand-in and how it ended.
type Call struct {
	Service  string // "kinesis", "dynamodb", "wafv2", "sts", "s3"
	Action   string // "UpdateIPSet"
	Resource string // name of the stream, table, set, rule group or web ACL; "" when the action has none
	Key      string // access key ID that signed it
	At       time.Time
	Status   int       // HTTP status the client got; 0 when its connection was cut
	Code     string    // AWS error code; "" when it succeeded or its connection was cut
	Fault    FaultKind // what the fault script did to it; "" = nothing
}

// changesWhatThereIs tells whether a stream, table or set came or went by c:
// what is worth a line in a log, unlike the calls that use them.
func (c Call) changesWhatThereIs() bool {
	if c.Status != http.StatusOK || c.Action == "DeleteItem" {
		return false
	}
	return strings.HasPrefix(c.Action, "Create") || strings.HasPrefix(c.Action, "Delete") ||
		c.Action == "SplitShard" || c.Action == "MergeShards"
}

// CallKey is what calls are counted by.
type CallKey struct{ Service, Action, Code string }

// keptCalls bounds [Server.Calls], so that a demo may run for days.
const keptCalls = 16384

// callLog keeps the latest calls in a ring and counts all of them.
type callLog struct {
	mu     sync.Mutex
	ring   []Call
	next   int // where the next call goes, once the ring is full
	counts map[CallKey]int
}

func (l *callLog) add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[CallKey]int)
	}
	l.counts[CallKey{c.Service, c.Action, c.Code}]++
	if len(l.ring) < keptCalls {
		l.ring = append(l.ring, c)
		return
	}
	l.ring[l.next] = c
	l.next = (l.next + 1) % keptCalls
}

// Calls returns the latest calls, at most 16,384, in the order they ended.
func (s *Server) Calls() []Call {
	l := &s.calls
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Call, 0, len(l.ring))
	out = append(out, l.ring[l.next:]...)
	return append(out, l.ring[:l.next]...)
}

// Counts returns how many calls there were since the start, by how they ended.
func (s *Server) Counts() map[CallKey]int {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return maps.Clone(s.calls.counts)
}

// exchange is the response writer that stand-ins get. It notes for the call
// log what is written.
type exchange struct {
	http.ResponseWriter
	call Call
}

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if x.call.Status == 0 {
		x.call.Status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Flush sends what is written so far, for streamed answers.
func (x *exchange) Flush() {
	if f, ok := x.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap serves http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// noteResource tells the call log which stream, table or set a call is about.
// A stand-in calls it as soon as it knows.
func noteResource(w http.ResponseWriter, name string) {
	if x, ok := w.(*exchange); ok {
		x.call.Resource = name
	}
}
