package detect

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"weir/internal/cloudfront"
	"weir/internal/prefetch"
	"weir/internal/scenario"
)

const (
	// chunkRecords is how many records are matched before they are poured: so many
	// that the memory they need can be read all at once, and so few that the lines
	// of all are still in the cache when samples are taken of them.
	chunkRecords = 256

	// maxIdleDealers is how many are kept between calls of Process. More calls
	// than that at once work, but build their dealers anew.
	maxIdleDealers = 64
)

// A matcher tells which scenarios a record hits, by effect: scenario.Matcher does.
type matcher interface {
	MatchGist(r *cloudfront.Record, hits []scenario.Hit) ([]scenario.Hit, scenario.Gist)
	Interpreted() (runs, failed uint64) // since the last call
}

// An event is what a record does under one key. Each record that may change a bucket or
// was refused has one for its client, and after it one for each network and value that
// it hit.
type event struct {
	key      key
	hash     uint64 // of the key
	request  uint64 // hash of the request id and the key; 0 when it does not matter whether it comes twice. Only a client's
	at       int64  // Unix milliseconds
	record   uint16 // index in the chunk
	shard    uint16
	from, to uint32 // its hits in the chunk's hits
	next     uint32 // number of the shard's next event, from 1; 0 = none
	apart    bool   // it is of a network or a value
	idle     bool   // the record pours nothing and was not refused: whatever it does, it counts as unmatched
}

// A dealer does the work of one Process at a time: it matches a chunk of records,
// deals what they hit to shards as events, and pours those.
type dealer struct {
	engine  *Engine
	matcher matcher
	sieve   *sieve

	events   []event
	all      []uint32 // 0, 1, 2 ...: the events in their order
	order    []uint32 // scratch: events of one shard
	first    []uint32 // by shard: number of its first event, from 1; 0 = none
	hits     []scenario.Hit
	spots    []spot // where the bucket of each hit is
	used     []bool // by shard: whether it has an event in the chunk
	earliest int64  // event time of the chunk
	raised   uint64 // alerts of the engine when the chunk began
	outcomes [chunkRecords]outcome
	shields  [chunkRecords]uint64 // that each record sends, as the sieve has them
	records  [outcomes]uint64     // counted in this Process
	receiver *receiver            // of Matches; nil until there are any
}

func newDealer(e *Engine) *dealer {
	return &dealer{
		engine: e, matcher: e.plan.matcher(), sieve: newSieve(e),
		used: make([]bool, len(e.shards)), first: make([]uint32, len(e.shards)), order: make([]uint32, 0, fetchAhead),
		events: make([]event, 0, chunkRecords), hits: make([]scenario.Hit, 0, 2*chunkRecords), spots: make([]spot, 0, 2*chunkRecords),
	}
}

// deal pours the records in their order.
func (d *dealer) deal(records []cloudfront.Record) {
	for chunk := range slices.Chunk(records, chunkRecords) {
		d.match(chunk)
		if len(d.events) > 0 {
			d.pour(chunk)
		}
	}
	d.count()
}

// count adds what the dealer counted to the metrics.
func (d *dealer) count() {
	for i := range d.records {
		move(d.engine.metrics.records[i], &d.records[i])
	}
	runs, failed := d.matcher.Interpreted()
	move(d.engine.metrics.interpreted, &runs)
	move(d.engine.metrics.failed, &failed)
}

// begin forgets the chunk before.
func (d *dealer) begin() {
	d.events, d.hits, d.spots, d.earliest = d.events[:0], d.hits[:0], d.spots[:0], math.MaxInt64
	d.raised = d.engine.raised.Load()
}

// match makes the events of a chunk.
func (d *dealer) match(chunk []cloudfront.Record) {
	d.begin()
	for i := range chunk {
		r := &chunk[i]
		k := d.engine.plan.hasher.client(r)
		hash := d.engine.plan.hasher.hash(k)
		prefetch.Line(unsafe.Pointer(d.engine.marks.line(hash))) // it is there when the hits are
		from := len(d.hits)
		var gist scenario.Gist
		d.hits, gist = d.matcher.MatchGist(r, d.hits)
		// What was refused goes on even if it matched nothing: a ban may have refused it.
		refused := r.Status >= 400
		counts := refused || gist.Lowers > 0
		if !counts && (len(d.hits) == from || d.sieve.isIdle(r, hash, &gist)) {
			d.hits = d.hits[:from]
			d.records[outcomeUnmatched]++
			continue
		}
		if counts && d.barred(r) {
			d.hits = d.hits[:from]
			d.records[outcomeBlocked]++
			continue
		}
		s := d.sieve
		d.hits = d.hits[:from+len(s.sift(r, k, hash, d.hits[from:], &gist))]
		if !counts && (!s.lowers && s.shields == 0 || d.barred(r)) {
			d.hits = d.hits[:from]
			d.records[outcomeUnmatched]++
			continue
		}
		d.outcomes[i], d.shields[i] = outcomeUnmatched, s.shields
		d.earliest = min(d.earliest, r.Time)
		first := len(d.events)
		e := d.add(k, hash, r.Time, i, from)
		e.idle = !counts
		// A shield that comes twice changes nothing, and what does nothing neither.
		if s.pours || s.lowers {
			e.request = d.request(r, hash)
		}
		d.addApart(r, i)
		// It is poured when the rest of the chunk is matched; until then what it
		// needs of memory is there.
		for i := range d.events[first:] {
			e := &d.events[first+i]
			d.spots = d.engine.shards[e.shard].fetch(e, d.hits[e.from:e.to], d.spots)
		}
	}
}

// barred reports whether a ban covers a record as the chunk begins. What alerts of the
// chunk itself came to is seen when it is poured. Whoever observes wants to be told in
// the order of the records, so then that is left to the pouring, too.
func (d *dealer) barred(r *cloudfront.Record) bool {
	e := d.engine
	return e.banned != nil && !e.watched && e.banned(clientOf(r), r.Time)
}

// request is what a record that comes twice is known by: its request id and what was
// asked for, since logs that were made, and cut, have one id for many. 0 when there is no
// id.
func (d *dealer) request(r *cloudfront.Record, client uint64) uint64 {
	id := r.Raw(cloudfront.FieldXEdgeRequestID)
	if len(id) == 0 {
		return 0
	}
	texts := d.engine.plan.texts
	stem := texts.Bytes(r.Raw(cloudfront.FieldCSURIStem))
	return max(1, ownedBy(client, texts.Bytes(id)^bits.RotateLeft64(stem, 32)^client))
}

// addApart makes the events of a record's hits on networks and values. Those of one
// network are one event when they follow each other.
func (d *dealer) addApart(r *cloudfront.Record, record int) {
	first := len(d.events)
	for i := range d.sieve.apart {
		a := &d.sieve.apart[i]
		from := len(d.hits)
		d.hits = append(d.hits, a.hit)
		if last := len(d.events) - 1; last >= first && d.events[last].key == a.key {
			d.events[last].to = uint32(len(d.hits))
			continue
		}
		d.add(a.key, a.hash, r.Time, record, from).apart = true
	}
}

// add makes an event of the key with a hash, with the hits from the given one on.
func (d *dealer) add(k key, hash uint64, at int64, record, from int) *event {
	e := d.engine
	shard := 0
	if len(e.shards) > 1 {
		shard = shardOf(hash, len(e.shards))
	}
	d.used[shard] = true
	d.events = append(d.events, event{
		key: k, hash: hash, at: at, record: uint16(record), shard: uint16(shard), from: uint32(from), to: uint32(len(d.hits)),
	})
	for len(d.all) < len(d.events) {
		d.all = append(d.all, uint32(len(d.all)))
	}
	return &d.events[len(d.events)-1]
}

// pour pours the events of a chunk.
//
// A dealer that is alone takes every shard that it needs and pours in the order of
// the records. So what is decided does not depend on the number of shards, even
// when an alert about a network bans a client of another shard. Beside others it
// takes one shard after the other, so that they can go on meanwhile: first what is
// the clients', since what becomes of that decides about the rest.
func (d *dealer) pour(chunk []cloudfront.Record) {
	shards := d.engine.shards
	if len(shards) == 1 || d.engine.callers.Load() == 1 {
		for n, s := range shards {
			if d.used[n] {
				s.mu.Lock()
			}
		}
		for i := 0; i < len(d.events); i += fetchAhead {
			d.run(d.all[i:min(i+fetchAhead, len(d.events))], chunk)
		}
		for n, s := range shards {
			if d.used[n] {
				s.finish(d.earliest)
				s.mu.Unlock()
			}
		}
	} else {
		d.pourApart(chunk, false)
		if d.engine.plan.mixed {
			d.pourApart(chunk, true)
		}
	}
	clear(d.used)
	for i := range d.events {
		e := &d.events[i]
		if e.apart {
			continue
		}
		was := d.outcomes[e.record]
		if shields := d.shields[e.record]; shields != 0 && was != outcomeDuplicate && was != outcomeBlocked {
			d.sieve.sent(e.hash, shields)
		}
		if e.idle {
			was = outcomeUnmatched
		}
		d.records[was]++
	}
}

// pourApart pours the events of clients, or those that are apart from them, one shard
// after the other.
func (d *dealer) pourApart(chunk []cloudfront.Record, apart bool) {
	clear(d.first)
	for i := len(d.events) - 1; i >= 0; i-- {
		if e := &d.events[i]; e.apart == apart {
			e.next, d.first[e.shard] = d.first[e.shard], uint32(i+1)
		}
	}
	for n, s := range d.engine.shards {
		if d.first[n] == 0 {
			continue
		}
		s.mu.Lock()
		d.order = d.order[:0]
		for i := d.first[n]; i != 0; i = d.events[i-1].next {
			if d.order = append(d.order, i-1); len(d.order) == fetchAhead {
				d.run(d.order, chunk)
				d.order = d.order[:0]
			}
		}
		d.run(d.order, chunk)
		s.finish(d.earliest)
		s.mu.Unlock()
	}
}

// fetchAhead is for how many events memory is fetched before they are poured.
const fetchAhead = 32

// run pours up to fetchAhead events, whose shards the dealer has taken. The memory
// that their buckets lie in is fetched first, of all at once: as the events are
// poured, each would wait for its own.
func (d *dealer) run(order []uint32, chunk []cloudfront.Record) {
	shards := d.engine.shards
	for _, i := range order {
		e := &d.events[i]
		for j := e.from; j < e.to; j++ {
			if d.hits[j].Effect == scenario.Pour { // most of what others look for is not there
				shards[e.shard].buckets.fetch(d.spots[j])
			}
		}
	}
	for _, i := range order {
		e := &d.events[i]
		was := &d.outcomes[e.record]
		if *was == outcomeDuplicate || *was == outcomeBlocked {
			continue
		}
		s, r := shards[e.shard], &chunk[e.record]
		if !e.apart && (d.engine.watched || d.raised != d.engine.raised.Load()) && d.engine.banned != nil && d.engine.banned(clientOf(r), e.at) {
			s.dismissed(e, r, Banned)
			*was = outcomeBlocked
			continue
		}
		*was = min(*was, s.pourEvent(e, d.hits[e.from:e.to], d.spots[e.from:e.to], r))
	}
}
