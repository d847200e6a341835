package detect

import (
	"hash/maphash"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

const (
	// batchEvents is how many events cross to a shard at once: waking a goroutine
	// for fewer costs more than pouring them.
	batchEvents = 256

	// batchesPerShard bounds how far a dealer runs ahead of the shards.
	batchesPerShard = 3

	// maxIdleDealers is how many are kept between calls of Process. More calls
	// than that at once work, but build their dealers anew.
	maxIdleDealers = 64
)

// An event is a record that matched or was refused, as it crosses to the shard of
// its key.
type event struct {
	key     key
	hash    uint64 // of the key
	request uint64 // hash of the request id and the key; 0 when the record has no id
	at      int64  // Unix milliseconds
	record  uint32 // index in the batch's records
	hits    uint32 // where its hits end in the batch's hits; they begin where the event's before it end
}

// A batch is owned by its dealer, or between sending and return by one shard.
type batch struct {
	records []cloudfront.Record // of the caller of Process, for as long as it waits
	events  []event
	hits    []scenario.Hit
	home    chan<- *batch // where the shard returns it to
}

// A dealer does the caller's share of one Process at a time: it matches records
// and deals them to shards.
type dealer struct {
	engine  *Engine
	matcher *scenario.Matcher
	hits    []scenario.Hit // of the record at hand

	current  []*batch // being filled, one for each shard
	spare    []*batch
	returned chan *batch // has room for every batch, so that no shard ever waits
	away     int         // batches that shards hold
}

func newDealer(e *Engine) *dealer {
	n := len(e.shards) * batchesPerShard
	d := &dealer{
		engine:   e,
		matcher:  e.set.NewMatcher(),
		current:  make([]*batch, len(e.shards)),
		spare:    make([]*batch, 0, n),
		returned: make(chan *batch, n),
	}
	for range n {
		d.spare = append(d.spare, &batch{events: make([]event, 0, batchEvents), home: d.returned})
	}
	for i := range d.current {
		d.current[i] = d.take()
	}
	return d
}

// take returns an empty batch, and waits for one if the shards hold them all.
func (d *dealer) take() *batch {
	if len(d.spare) == 0 {
		d.await()
	}
	last := len(d.spare) - 1
	b := d.spare[last]
	d.spare = d.spare[:last]
	return b
}

// await takes one batch back from a shard.
func (d *dealer) await() {
	b := <-d.returned
	d.away--
	d.spare = append(d.spare, b)
}

func (d *dealer) deal(records []cloudfront.Record) {
	e := d.engine
	unmatched := 0
	for i := range records {
		r := &records[i]
		d.hits = d.matcher.Match(r, d.hits[:0])
		// What was refused goes on to the shard even if it matched nothing: only
		// there is it known whether a ban refused it.
		if len(d.hits) == 0 && r.Status < 400 {
			unmatched++
			continue
		}
		k := keyOf(r.Client())
		hash := k.hash(e.seed)
		n := scale(uint32(hash), len(e.shards))
		b := d.current[n]
		b.hits = append(b.hits, d.hits...)
		b.events = append(b.events, event{
			key: k, hash: hash, request: d.request(r, hash), at: r.Time,
			record: uint32(i), hits: uint32(len(b.hits)),
		})
		if len(b.events) == batchEvents {
			d.send(n, records)
		}
	}
	for n, b := range d.current {
		if len(b.events) > 0 {
			d.send(n, records)
		}
	}
	for d.away > 0 {
		d.await()
	}
	e.metrics.records[outcomeUnmatched].Add(float64(unmatched))
}

// request is what a duplicate is known by. The key is part of it, so that one
// request may be counted under several keys.
func (d *dealer) request(r *cloudfront.Record, hash uint64) uint64 {
	id := r.Raw(cloudfront.FieldXEdgeRequestID)
	if len(id) == 0 {
		return 0
	}
	return max(1, maphash.Bytes(d.engine.seed, id)^hash)
}

// send hands the batch of a shard over and begins a new one.
func (d *dealer) send(n int, records []cloudfront.Record) {
	b := d.current[n]
	b.records = records
	d.away++
	d.engine.shards[n].in <- b
	d.current[n] = d.take()
}
