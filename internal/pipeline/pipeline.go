// Package pipeline is the way of a record: it joins a source of lines to
// detection and to the store of decisions. Read it first.
//
//	source --lines--> Handle --records--> detect.Engine --alerts--> ban.Store
//
// One rule holds it together: Handle returns nil only when every record it was
// given is poured and every decision that followed is stored. The return value
// is the acknowledgement. Backpressure, at-least-once delivery, the safety of
// the caller's memory and a clean stop all follow from it.
package pipeline

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/watchdog"
)

// batchSize is how many records are parsed before they are handed to the
// engine: as many as it pours at once, and few enough for their lines to stay in
// the cache.
const batchSize = 256

// Config is what a Pipeline joins. Format, Engine or Forward, Allowed and Commit are required.
type Config struct {
	Format  *cloudfront.Format
	Engine  *detect.Engine
	Forward Forward                     // in place of Engine: detection is elsewhere
	Allowed func(netip.Addr) bool       // allowlisted clients are not counted against: neither matched nor poured
	Commit  func(context.Context) error // stores what was decided since the last call

	// Answers are the statuses, below 1000, with which WAF answers whom it blocks or
	// asks for something on account of our decisions. Answered reports whether such a
	// decision covers a client at an event time (Unix ms): then a record with one of
	// these statuses, which no origin was asked for, says what WAF did, and is not
	// counted against anyone. Nil: all records are.
	Answers  []uint16
	Answered func(client netip.Prefix, at int64) bool

	// Seen is told of the client of each record that goes on to detection. Nil: nobody is.
	Seen func(netip.Addr)

	Watch      *watchdog.Monitor // of calls that do not get ahead; nil = none
	Logger     *zap.Logger
	Registerer prometheus.Registerer
}

// Forward begins to send on the records of a batch of a shard's stream records, which have
// these sequence numbers.
type Forward func(shard string, sequences []string) (Load, error)

// A Load is what is sent on of a batch.
type Load interface {
	// Add takes records, and tells of each which record of the batch it comes from, and which
	// of that one's lines it is, empty ones left out. It keeps nothing of them. The error is
	// that of ctx.
	Add(ctx context.Context, records []cloudfront.Record, origin func(i int) (record, line int)) error

	// Wait waits until all that was added is where it will not be lost. The error is that
	// of ctx.
	Wait(ctx context.Context) error
}

// An origin says which line of which record of a batch a record is.
type origin struct{ record, line int }

// Pipeline takes lines from any number of sources at once.
type Pipeline struct {
	cfg     Config
	m       *metrics
	answers [1000]bool // by status
	batches sync.Pool  // of *batch
	handled atomic.Int64
	bad     complaints
}

// batch is the scratch of one Handle call.
type batch struct {
	records []cloudfront.Record
	tally   tally
	loop    watchdog.Loop

	// With Config.Forward:

	load    Load
	origins []origin // of the records
	failure error    // of Add
}

// tally is what one Handle call counts, added to the metrics once at its end.
type tally struct {
	lines, blank, allowed, answered, short int

	rejected [16]int // by cloudfront.RejectReason
	newest   int64   // event time, Unix ms
}

// New makes a pipeline.
func New(cfg Config) *Pipeline {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Seen == nil {
		cfg.Seen = func(netip.Addr) {}
	}
	p := &Pipeline{cfg: cfg, m: newMetrics(cfg.Registerer)}
	if cfg.Answered != nil {
		for _, status := range cfg.Answers {
			p.answers[status] = true
		}
	}
	p.bad = complaints{log: cfg.Logger, columns: cfg.Format.Columns()}
	p.batches.New = func() any { return &batch{records: make([]cloudfront.Record, 0, batchSize)} }
	return p
}

// Handle processes a batch of stream records, each of which may hold several
// lines. arrived says when the stream got each of them; nil when that is not
// known. The lines are the caller's again when Handle returns.
//
// A line that cannot be read is counted by reason and dropped: it will not get
// better. While decisions cannot be stored Handle waits and tries again, and
// with it the source; its only error is that of a context which ended first.
func (p *Pipeline) Handle(ctx context.Context, lines [][]byte, arrived []time.Time) error {
	return p.HandleAs(ctx, p.cfg.Format, lines, arrived)
}

// HandleAs is Handle for lines of another format than the configured one.
func (p *Pipeline) HandleAs(ctx context.Context, format *cloudfront.Format, lines [][]byte, arrived []time.Time) error {
	return p.handle(ctx, nil, format, lines, arrived)
}

// HandleFrom is Handle with Config.Forward, which has to know where lines are from.
func (p *Pipeline) HandleFrom(ctx context.Context, shard string, sequences []string, lines [][]byte, arrived []time.Time) error {
	load, err := p.cfg.Forward(shard, sequences)
	if err != nil {
		return err
	}
	return p.handle(ctx, load, p.cfg.Format, lines, arrived)
}

func (p *Pipeline) handle(ctx context.Context, load Load, format *cloudfront.Format, lines [][]byte, arrived []time.Time) error {
	// Given back at the end and not by defer: a batch that a panic left half done
	// must not be taken for a fresh one.
	b := p.batches.Get().(*batch)
	b.load, b.failure = load, nil
	err := p.batch(ctx, b, format, lines, arrived)
	b.load, b.failure = nil, nil
	p.batches.Put(b)
	return err
}

func (p *Pipeline) batch(ctx context.Context, b *batch, format *cloudfront.Format, lines [][]byte, arrived []time.Time) error {
	p.cfg.Watch.Enter(&b.loop, "a batch of records")
	defer p.cfg.Watch.Leave(&b.loop)
	b.loop.Works()
	b.tally = tally{}
	for i, data := range lines {
		var at int64
		nth := 0
		if i < len(arrived) && !arrived[i].IsZero() {
			at = arrived[i].UnixMilli()
		}
		for len(data) > 0 {
			line := data
			if nl := bytes.IndexByte(data, '\n'); nl >= 0 {
				line, data = data[:nl], data[nl+1:]
			} else {
				data = nil
			}
			line = trimCR(line)
			p.take(ctx, b, format, line, at, origin{i, nth})
			if len(line) > 0 {
				nth++
			}
		}
	}
	p.pour(ctx, b)
	p.m.count(&b.tally)
	p.bad.note(&b.tally)
	b.loop.Waits()
	if b.load != nil {
		if b.failure == nil {
			b.failure = b.load.Wait(ctx)
		}
		if b.failure != nil {
			return b.failure
		}
	}
	if err := p.commit(ctx); err != nil {
		return err
	}
	p.handled.Add(int64(len(lines)))
	return nil
}

// Handled is how many stream records Handle has acknowledged, those that were
// delivered again included.
func (p *Pipeline) Handled() int64 { return p.handled.Load() }

// take parses one line into the batch, and pours the batch when it is full.
func (p *Pipeline) take(ctx context.Context, b *batch, format *cloudfront.Format, line []byte, arrived int64, from origin) {
	if len(line) == 0 {
		b.tally.blank++
		return
	}
	b.tally.lines++
	b.records = b.records[:len(b.records)+1]
	r := &b.records[len(b.records)-1]
	if err := format.Parse(r, line); err != nil {
		b.records = b.records[:len(b.records)-1]
		if reason, ok := err.(cloudfront.RejectReason); ok {
			b.tally.rejected[reason]++
		}
		return
	}
	if p.cfg.Allowed(r.Addr) {
		b.records = b.records[:len(b.records)-1]
		b.tally.allowed++
		return
	}
	if p.answered(r) {
		b.tally.newest = max(b.tally.newest, r.Time)
		b.records = b.records[:len(b.records)-1]
		b.tally.answered++
		return
	}
	if r.Short() {
		b.tally.short++
	}
	r.Arrived = arrived
	b.tally.newest = max(b.tally.newest, r.Time)
	if b.load != nil {
		b.origins = append(b.origins, from)
	}
	if len(b.records) == cap(b.records) {
		p.pour(ctx, b)
	}
}

// answered reports whether a record is of a request that WAF answered in our name.
func (p *Pipeline) answered(r *cloudfront.Record) bool {
	return int(r.Status) < len(p.answers) && p.answers[r.Status] && r.Raw(cloudfront.FieldOriginFBL) == nil && p.cfg.Answered(r.Client(), r.Time)
}

// pour hands the parsed records to the engine and waits until they are poured, or sends
// them on.
func (p *Pipeline) pour(ctx context.Context, b *batch) {
	if len(b.records) == 0 {
		return
	}
	// Not each as it is parsed: whoever is told looks into memory that is seldom near, and
	// looks that follow each other closely are waited for together.
	for i := range b.records {
		p.cfg.Seen(b.records[i].Addr)
	}
	switch {
	case b.load == nil:
		p.cfg.Engine.Process(b.records)
		b.loop.Works()
	case b.failure == nil:
		b.loop.Waits() // the stream may have no room
		b.failure = b.load.Add(ctx, b.records, func(i int) (record, line int) { return b.origins[i].record, b.origins[i].line })
		b.loop.Works()
	}
	b.records, b.origins = b.records[:0], b.origins[:0]
}

// commit stores the decisions of this call. The records are poured, so giving
// the batch back to the source would pour them twice: it tries again here.
func (p *Pipeline) commit(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := p.cfg.Commit(ctx)
		if err == nil {
			return nil
		}
		p.m.commitFailed(p.cfg.Logger, err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
	}
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}
