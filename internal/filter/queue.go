package filter

import (
	"errors"
	"slices"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// An Event is a request in a bucket, as its alert would carry it. All texts are in wire
// form. "" is what the viewer did not send.
type Event struct {
	Time                                                        int64 // Unix milliseconds
	Addr, Status, Method, Host, Path, Query, UserAgent, Referer string
	Version                                                     string // such as HTTP/1.1
}

func (e *Event) event() *event {
	q := request{
		at: time.UnixMilli(e.Time).UTC(), stem: e.Path, query: e.Query, agent: orDash(e.UserAgent), referer: orDash(e.Referer),
		address: e.Addr, status: e.Status, method: e.Method, host: e.Host, version: e.Version,
	}
	return q.event()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// A QueueProgram is a compiled condition or overflow_filter. It is immutable.
type QueueProgram struct{ x *expression }

// queueEnv is the world of a QueueProgram.
type queueEnv struct {
	Evt   *event `expr:"evt"`
	Queue *queue `expr:"queue"`
	Leaky *leaky `expr:"leaky"`
}

type queue struct {
	Queue []*event
	L     int // CrowdSec's name of how many it has room for
}

// GetQueue is CrowdSec's.
func (q *queue) GetQueue() []*event { return q.Queue }

type leaky struct {
	Queue             *queue
	First_ts, Last_ts time.Time //nolint:revive // CrowdSec's names
	Total_count       int       //nolint:revive // CrowdSec's name
}

var (
	queueNames = []string{"queue.GetQueue", "queue.L", "queue.Queue"}
	leakyNames = []string{"leaky.First_ts", "leaky.Last_ts", "leaky.Queue", "leaky.Total_count"}
)

// CompileQueue compiles a condition or an overflow_filter: a boolean expression over
// queue, leaky and evt, the event that was poured last. The error names everything
// that is wrong.
func CompileQueue(src Source) (*QueueProgram, error) {
	w := recordWorld(nil)
	w.env = queueEnv{}
	w.check = func(c *checkNames, n *ast.MemberNode) {
		id, ok := n.Node.(*ast.IdentifierNode)
		name, written := property(n)
		switch {
		case !ok || id.Value == "evt":
			w.checkMember(c, n)
		case id.Value == "queue" && (!written || !slices.Contains(queueNames, "queue."+name)):
			c.fail(n, "unknown field queue.%.64s (nearest: %s)", name, nearest("queue."+name, queueNames))
		case id.Value == "leaky" && (!written || !slices.Contains(leakyNames, "leaky."+name)):
			c.fail(n, "unknown field leaky.%.64s (nearest: %s)", name, nearest("leaky."+name, leakyNames))
		}
	}
	x, err := w.parse(src, expr.AsBool())
	if err != nil {
		return nil, err
	}
	return &QueueProgram{x}, nil
}

// Holds tells whether the condition holds of the events in a bucket, oldest first, of
// which the last was just poured. It is safe to call from many goroutines, and slow.
func (p *QueueProgram) Holds(events []Event) (bool, error) {
	if len(events) == 0 {
		return false, errors.New("no event in the bucket")
	}
	q := &queue{Queue: make([]*event, len(events)), L: len(events)}
	for i := range events {
		q.Queue[i] = events[i].event()
	}
	first, last := q.Queue[0], q.Queue[len(events)-1]
	out, err := vm.Run(p.x.program, &queueEnv{
		Evt: last, Queue: q,
		Leaky: &leaky{Queue: q, First_ts: first.Time, Last_ts: last.Time, Total_count: len(events)},
	})
	holds, _ := out.(bool)
	return holds && err == nil, err
}
