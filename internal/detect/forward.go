package detect

import (
	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// excerptFields are the columns of Match.Columns.
var excerptFields = [sampleColumns]cloudfront.Field{
	sampleVersion: cloudfront.FieldCSProtocolVersion, sampleMethod: cloudfront.FieldCSMethod, sampleHost: cloudfront.FieldCSHost,
	samplePath: cloudfront.FieldCSURIStem, sampleQuery: cloudfront.FieldCSURIQuery, sampleUserAgent: cloudfront.FieldCSUserAgent,
	sampleReferer: cloudfront.FieldCSReferer, sampleCountry: cloudfront.FieldCCountry, sampleASN: cloudfront.FieldASN,
	sampleRequestID: cloudfront.FieldXEdgeRequestID,
}

// A receiver is what a dealer needs to pour Matches in place of records.
type receiver struct {
	excerpts [cloudfront.MaxClientBits + 1]*cloudfront.Excerpt // by bits of an IPv6 client; nil = not needed yet
	records  []cloudfront.Record
	away     []awayHit
	match    Match
	hits     []scenario.Hit
}

// An awayHit is a hit that is counted elsewhere.
type awayHit struct {
	record int // index in the chunk
	nth    int // of the record's
	apart  apartHit
}

// Pour pours what a Front told of records, in their order. Hits on networks and values it
// pours only when they come by themselves. Of the other records those that count, as they are
// neither duplicates nor of banned clients, are split: away is called for each key of such
// hits, with the index of the record, with which of the record's it is, from 0, and with a
// Match for who counts for the key, whose partition that is. What away is given is good until
// it returns. Any number of goroutines may call Pour at once.
func (e *Engine) Pour(matches []Match, away func(i, nth int, m *Match, partition int)) {
	if len(matches) == 0 {
		return
	}
	e.callers.Add(1)
	defer e.callers.Add(-1)
	d := e.dealer()
	if d.receiver == nil {
		d.receiver = &receiver{records: make([]cloudfront.Record, chunkRecords)}
	}
	for first := 0; first < len(matches); first += chunkRecords {
		chunk := matches[first:min(first+chunkRecords, len(matches))]
		records := d.receive(chunk)
		if len(d.events) > 0 {
			d.pour(records)
		}
		d.sendAway(chunk, first, away)
	}
	d.count()
	e.giveBack(d)
}

// receive makes the events of a chunk, as match does of records.
func (d *dealer) receive(chunk []Match) []cloudfront.Record {
	d.begin()
	rec := d.receiver
	rec.away = rec.away[:0]
	records := rec.records[:len(chunk)]
	for i := range chunk {
		m, r := &chunk[i], &records[i]
		d.outcomes[i], d.shields[i] = outcomeUnmatched, 0
		if _, ok := d.engine.keyOf(m); !ok {
			d.records[outcomeUnmatched]++
			continue
		}
		rec.fill(r, m)
		first := len(d.events)
		if m.Apart {
			d.receiveApart(r, m, i)
		} else {
			d.receiveOwn(r, m, i)
		}
		for j := range d.events[first:] {
			e := &d.events[first+j]
			d.spots = d.engine.shards[e.shard].fetch(e, d.hits[e.from:e.to], d.spots)
		}
	}
	return records
}

// fill makes a record of a Match.
func (rec *receiver) fill(r *cloudfront.Record, m *Match) {
	bits := m.Bits
	if m.Addr.Is4() {
		bits = cloudfront.DefaultClientBits
	}
	x := rec.excerpts[bits]
	if x == nil {
		x = cloudfront.NewExcerpt(int(bits), excerptFields[:]...)
		rec.excerpts[bits] = x
	}
	x.Fill(r, m.Addr, m.Time, m.Status, m.Columns)
	r.Arrived = m.Arrived
}

// receiveOwn makes the event of a record's client, and keeps what goes away.
func (d *dealer) receiveOwn(r *cloudfront.Record, m *Match, i int) {
	k := d.engine.plan.hasher.client(r)
	hash := d.engine.plan.hasher.hash(k)
	gist := scenario.GistOf(m.Hits, d.engine.plan.isApart)
	from := len(d.hits)
	if d.barred(r) {
		d.records[outcomeBlocked]++
		return
	}
	s := d.sieve
	d.hits = append(d.hits, m.Hits...)
	s.remote = true
	d.hits = d.hits[:from+len(s.sift(r, k, hash, d.hits[from:], &gist))]
	s.remote = false
	if !s.pours && !s.lowers && s.shields == 0 {
		d.hits = d.hits[:from]
		d.records[outcomeUnmatched]++
		return
	}
	d.shields[i], d.earliest = s.shields, min(d.earliest, r.Time)
	e := d.add(k, hash, r.Time, i, from)
	e.idle = gist.Lowers == 0
	if m.Request != 0 && (s.pours || s.lowers) {
		e.request = max(1, ownedBy(hash, fold(m.Request^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)^hash))
	}
	for n := range s.apart {
		d.receiver.away = append(d.receiver.away, awayHit{i, n, s.apart[n]})
	}
}

// receiveApart makes the event of hits on one network or value.
func (d *dealer) receiveApart(r *cloudfront.Record, m *Match, i int) {
	s := d.sieve
	s.apart, s.pours, s.lowers, s.shields = s.apart[:0], false, false, 0
	k := d.engine.plan.hasher.client(r)
	for j := range m.Hits {
		if rule := s.rules[m.Hits[j].Scenario]; rule&ruleApart != 0 {
			s.siftApart(r, k, &m.Hits[j], rule)
		}
	}
	if len(s.apart) > 0 {
		d.earliest = min(d.earliest, r.Time)
		d.addApart(r, i)
	}
}

// sendAway calls away for the keys of what is counted elsewhere, of records that count.
func (d *dealer) sendAway(chunk []Match, first int, away func(i, nth int, m *Match, partition int)) {
	rec := d.receiver
	for i := 0; i < len(rec.away); {
		a := &rec.away[i]
		rec.hits = rec.hits[:0]
		for ; i < len(rec.away) && rec.away[i].record == a.record && rec.away[i].apart.key == a.apart.key; i++ {
			rec.hits = append(rec.hits, rec.away[i].apart.hit)
		}
		if was := d.outcomes[a.record]; was == outcomeDuplicate || was == outcomeBlocked {
			continue
		}
		rec.match = chunk[a.record]
		rec.match.Apart, rec.match.Request, rec.match.Hits, rec.match.receipt = true, 0, rec.hits, Receipt{}
		if rec.hits[0].Effect != scenario.Pour {
			rec.match.Columns = nil // hits that pour come first
		}
		away(first+a.record, a.nth, &rec.match, PartitionOf(Partition(a.apart.hash)))
	}
}
