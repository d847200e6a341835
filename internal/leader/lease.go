package leader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/zap"

	"weir/internal/awshttp"
)

// Lease is one process's part in the election. It is made by New.
type Lease struct {
	cfg   Config
	terms terms
	table *table
	log   *zap.Logger
	m     *metrics

	mu        sync.Mutex
	status    Status
	complains time.Time // no log line about the table before
}

// Status is how the election stands, as far as this process knows.
type Status struct {
	Leads     bool      // this process holds the lease
	Holder    string    // who does; "" = nobody, or not known yet
	Epoch     uint64    // of the latest term; 0 = not known yet
	Confirmed time.Time // when the latest write of this process's term that succeeded was begun
	Err       error     // why the table did not answer the latest call; nil = it did
}

// New checks the settings, all at once, and makes the client. It calls nobody.
func New(cfg Config) (*Lease, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("leader lease: %w", err)
	}
	l := &Lease{cfg: cfg, terms: terms{cfg.Failover, cfg.Grace}, log: cfg.Logger}
	l.table = &table{name: cfg.Table, worker: cfg.Worker, failover: cfg.Failover}
	l.table.api = dynamodb.NewFromConfig(awshttp.Renew(cfg.AWS), func(o *dynamodb.Options) {
		o.HTTPClient, o.Retryer = awshttp.New(cfg.AWS.HTTPClient), aws.NopRetryer{} // see table
	})
	l.m = newMetrics(cfg.Registerer, l.Status)
	return l, nil
}

// Status tells how the election stands. It may be called at any time.
func (l *Lease) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Why the context of a term ended, besides the end of the one that Run was given.
var (
	ErrLost       = errors.New("another process leads")
	ErrEmptied    = errors.New("the lease table was emptied or made anew")
	ErrSilent     = errors.New("the lease table did not answer for longer than the grace")
	ErrIneligible = errors.New("this process may not lead any more")
	errOver       = errors.New("the term is over")
)

// Run takes the lease whenever it is to be had and eligible reports true, and calls
// lead under it. It returns nil when ctx has ended, or the error that lead returns;
// the lease is given back then.
//
// The context that lead is called with ends when it is to return: ctx has ended,
// this process is not eligible any more, or the lease is lost (ErrLost, ErrEmptied, ErrSilent).
// Until it returns, the lease is kept if it can be, so that there is time for a last
// round: what Term.Held says. When lead returns nil, the lease is given back, and
// taken again when that is possible.
//
// eligible is called about once a second, by one goroutine at a time.
func (l *Lease) Run(ctx context.Context, eligible func() bool, lead func(context.Context, *Term) error) error {
	for {
		t := l.await(ctx, eligible)
		if t == nil {
			return nil
		}
		if err := t.run(ctx, eligible, lead); err != nil {
			return err
		}
	}
}

// await looks at the row until it can take the lease. nil: ctx has ended.
func (l *Lease) await(ctx context.Context, eligible func() bool) *Term {
	tick := time.NewTicker(l.terms.tick())
	defer tick.Stop()
	for seen := new(sighting); ctx.Err() == nil; {
		l.look(ctx, seen)
		if from := seen.from(l.table.worker, l.terms); from != "" && eligible() {
			if t := l.take(ctx, seen.row, from); t != nil {
				return t
			} // else it may have been taken all the same, by us or another: the next look tells
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

func (l *Lease) look(ctx context.Context, seen *sighting) {
	ctx, cancel := context.WithTimeout(ctx, l.terms.timeout())
	defer cancel()
	begun := time.Now()
	r, err := l.table.read(ctx)
	l.note(ctx, err, func(st *Status) { st.Holder, st.Epoch = r.holder, max(st.Epoch, r.epoch) })
	if err == nil {
		seen.see(r, begun, time.Now(), l.terms)
	}
}

// take begins a term, or returns nil. It is not cut short when ctx ends: what may
// have been taken would keep others waiting.
func (l *Lease) take(ctx context.Context, seen row, from string) *Term {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.terms.timeout())
	defer cancel()
	begun := time.Now()
	epoch := max(seen.epoch+1, uint64(begun.UnixMilli()))
	r, err := l.table.take(call, seen, epoch)
	l.note(call, err, func(st *Status) {
		*st = Status{Leads: true, Holder: l.table.worker, Epoch: epoch, Confirmed: begun}
	})
	if err != nil {
		return nil
	}
	l.m.taken.WithLabelValues(from).Inc()
	l.log.Info("this process leads", zap.Uint64("epoch", epoch), zap.String("from", from), zap.String("before", seen.holder))
	return newTerm(l, r, begun)
}

// ceased notes that this process does not hold the lease; the next look says who does.
func (l *Lease) ceased() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Leads, l.status.Holder = false, ""
}

// note keeps the result of a call: what it changes if it succeeded, else why it did
// not, which is logged once a minute.
func (l *Lease) note(ctx context.Context, err error, change func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status.Err = err; err == nil {
		change(&l.status)
		return
	}
	if errors.Is(err, errRefused) { // that is an answer
		l.status.Err = nil
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	l.m.errors.Inc()
	if now := time.Now(); !now.Before(l.complains) {
		l.complains = now.Add(time.Minute)
		l.log.Warn("the lease table does not answer about the leader", zap.Bool("leads", l.status.Leads), zap.Error(err))
	}
}
