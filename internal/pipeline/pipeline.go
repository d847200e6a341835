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

// Config is what a Pipeline joins. Format, Engine, Allowed and Commit are required.
type Config struct {
	Format  *cloudfront.Format
	Engine  *detect.Engine
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
	// Given back at the end and not by defer: a batch that a panic left half done
	// must not be taken for a fresh one.
	b := p.batches.Get().(*batch)
	err := p.handle(ctx, b, format, lines, arrived)
	p.batches.Put(b)
	return err
}

func (p *Pipeline) handle(ctx context.Context, b *batch, format *cloudfront.Format, lines [][]byte, arrived []time.Time) error {
	p.cfg.Watch.Enter(&b.loop, "a batch of records")
	defer p.cfg.Watch.Leave(&b.loop)
	b.loop.Works()
	b.tally = tally{}
	for i, data := range lines {
		var at int64
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
			p.take(b, format, trimCR(line), at)
		}
	}
	p.pour(b)
	p.m.count(&b.tally)
	p.bad.note(&b.tally)
	b.loop.Waits()
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
func (p *Pipeline) take(b *batch, format *cloudfront.Format, line []byte, arrived int64) {
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
	p.cfg.Seen(r.Addr)
	if r.Short() {
		b.tally.short++
	}
	r.Arrived = arrived
	b.tally.newest = max(b.tally.newest, r.Time)
	if len(b.records) == cap(b.records) {
		p.pour(b)
	}
}

// answered reports whether a record is of a request that WAF answered in our name.
func (p *Pipeline) answered(r *cloudfront.Record) bool {
	return int(r.Status) < len(p.answers) && p.answers[r.Status] && r.Raw(cloudfront.FieldOriginFBL) == nil && p.cfg.Answered(r.Client(), r.Time)
}

// pour hands the parsed records to the engine and waits until they are poured.
func (p *Pipeline) pour(b *batch) {
	if len(b.records) > 0 {
		p.cfg.Engine.Process(b.records)
		b.records = b.records[:0]
		b.loop.Works()
	}
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
