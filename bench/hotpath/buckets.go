package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/scenario"
)

// The rows about many buckets pour into one scenario, which every record hits: one
// bucket for each client. Clients are numbers, written as addresses.

// anyRequest is the built-in scenario that counts every request that was served.
const anyRequest = "http-flood-any"

// oneScenario is anyRequest with other numbers. A bucket with one event lives for leak.
func oneScenario(capacity int, leak time.Duration) (*scenario.Set, error) {
	for _, s := range scenario.Catalogue() {
		if s.Name == anyRequest {
			s.Capacity, s.Leak = capacity, leak
			return scenario.Compile([]scenario.Scenario{s}, scenario.Options{BlockStatuses: []uint16{blockStatus}})
		}
	}
	return nil, fmt.Errorf("no scenario %s in the catalogue", anyRequest)
}

// pool is an engine, and records to pour into it by the batch.
type pool struct {
	engine   *detect.Engine
	matcher  *scenario.Matcher
	registry *prometheus.Registry
	records  []cloudfront.Record
	hits     []scenario.Hit
	alerted  map[netip.Prefix]bool
	used     int // records of the batch that are filled
}

// start is the event time of the first record.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli()

func newPool(capacity int, leak time.Duration, memory int64) (*pool, error) {
	set, err := oneScenario(capacity, leak)
	if err != nil {
		return nil, err
	}
	p := &pool{
		registry: prometheus.NewRegistry(), matcher: set.NewMatcher(), alerted: map[netip.Prefix]bool{},
		records: make([]cloudfront.Record, batch), hits: make([]scenario.Hit, 0, 8),
	}
	p.engine, err = detect.New(set, detect.Config{
		Shards: 1, Memory: memory, Registerer: p.registry,
		Alert: func(a detect.Alert) { p.alerted[a.Client] = true },
	})
	if err != nil {
		return nil, err
	}
	fields, err := cloudfront.ParseFields("timestamp c-ip sc-status cs-method cs-host cs-uri-stem x-edge-request-id cs-protocol-version cs-user-agent")
	if err != nil {
		return nil, err
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return nil, err
	}
	// Without a request id no record is a duplicate.
	const line = "1772366400.000\t192.0.2.1\t200\tGET\twww.example.com\t/items?id=1\t-\tHTTP/2.0\tcurl/8.5.0"
	for i := range p.records {
		if err := format.Parse(&p.records[i], []byte(line)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add puts a request of a client into the batch, and pours the batch when it is full.
func (p *pool) add(client uint32, at int64) {
	r := &p.records[p.used]
	r.Addr, r.Time = address(client), at
	if p.used++; p.used == len(p.records) {
		p.pour()
	}
}

func (p *pool) pour() {
	p.engine.Process(p.records[:p.used])
	p.used = 0
}

// address writes a number as an address outside of all that is reserved.
func address(client uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x10000000+client)))
}

// read returns the sum of a metric.
func (p *pool) read(name string) (sum float64, err error) {
	families, err := p.registry.Gather()
	if err != nil {
		return 0, err
	}
	found := false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		found = true
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if !found {
		return 0, errors.New("there is no metric " + name)
	}
	return sum, nil
}

// bucketShare is the part of Config.Memory that holds buckets: see there.
const bucketShare = 2

// maxCapacity is the most that a scenario may have: nobody gets there here.
const maxCapacity = 100_000

// measureBuckets fills the rows that need many clients.
func measureBuckets(t *table, clients int) error {
	near, _, err := eventCost(1000)
	if err != nil {
		return err
	}
	far, gc, err := eventCost(clients)
	if err != nil {
		return err
	}
	t.set(rowFar, 0, far/near)
	t.set(rowGC, 0, gc)
	t.note("A bucket event takes %.0f ns at 1,000 clients and %.0f at %d; matching is left out of it.", near, far, clients)
	slots, bytes, err := density()
	if err != nil {
		return err
	}
	t.set(rowBytes, 0, bytes)
	found, err := flood(slots)
	if err != nil {
		return err
	}
	t.set(rowFlood, 0, found)
	return nil
}

// eventCost returns the CPU time in nanoseconds that an event takes in its bucket,
// with as many live buckets, and that of a collection in milliseconds.
func eventCost(clients int) (ns, gcMs float64, err error) {
	p, err := newPool(maxCapacity, 4*time.Hour, max(64<<20, int64(clients)*bucketShare*200))
	if err != nil {
		return 0, 0, err
	}
	defer p.engine.Close()
	for c := range clients {
		p.add(uint32(c), start)
	}
	p.pour()
	live, err := p.read("detect_buckets")
	if err != nil {
		return 0, 0, err
	}
	if live < 0.99*float64(clients) {
		return 0, 0, fmt.Errorf("only %.0f of %d clients have a bucket", live, clients)
	}
	const events = 1_000_000
	rnd := rand.New(rand.NewPCG(1, 2))
	var costs []float64
	for range 5 {
		matched := p.spend(events, clients, rnd, func() {
			for i := range p.records {
				p.hits = p.matcher.Match(&p.records[i], p.hits[:0])
			}
		})
		poured := p.spend(events, clients, rnd, func() { p.engine.Process(p.records) })
		costs = append(costs, poured-matched)
	}
	return max(1, median(costs)), collection(), nil
}

// spend returns the CPU time an event of batches of requests by clients at random.
func (p *pool) spend(events, clients int, rnd *rand.Rand, do func()) float64 {
	before := cpu()
	for range events / len(p.records) {
		for i := range p.records {
			p.records[i].Addr = address(rnd.Uint32N(uint32(clients)))
		}
		do()
	}
	return float64(cpu()-before) / float64(events)
}

// collection returns the CPU time in milliseconds of a garbage collection.
func collection() float64 {
	const cycles = 10
	read := func() float64 {
		s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
		metrics.Read(s)
		return s[0].Value.Float64() - s[1].Value.Float64()
	}
	runtime.GC()
	before := read()
	for range cycles {
		runtime.GC()
	}
	return (read() - before) * 1000 / cycles
}

// density returns how many live buckets the least memory of one shard holds that is
// still a round number, and how many bytes of the buckets' share one takes.
func density() (slots int, bytes float64, err error) {
	const memory = 32 << 20
	p, err := newPool(maxCapacity, 4*time.Hour, memory)
	if err != nil {
		return 0, 0, err
	}
	defer p.engine.Close()
	for c := range uint32(memory / 16) { // more than can be held
		p.add(c, start)
	}
	p.pour()
	live, err := p.read("detect_buckets")
	return int(live), memory / bucketShare / live, err
}

// flood pours twice as many live clients as there are slots, within seconds and in
// random order, with attackers among them, and returns how many in a hundred raised
// their alert.
func flood(slots int) (found float64, err error) {
	const (
		attackers = 500
		requests  = 40 // of each; the tenth but one is too many
		capacity  = 10
		span      = 5000 // ms; a bucket with one event lives twice as long
	)
	p, err := newPool(capacity, 2*span*time.Millisecond, 32<<20)
	if err != nil {
		return 0, err
	}
	defer p.engine.Close()
	events := make([]uint32, 0, 2*slots+attackers*requests)
	for c := range uint32(2 * slots) {
		events = append(events, attackers+c)
	}
	for a := range uint32(attackers) {
		for range requests {
			events = append(events, a)
		}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for i, c := range events {
		p.add(c, start+int64(i)*span/int64(len(events)))
	}
	p.pour()
	evicted, err := p.read("detect_evictions_total")
	if err != nil {
		return 0, err
	}
	if evicted == 0 {
		return 0, errors.New("a flood that evicts nothing is none")
	}
	for a := range uint32(attackers) {
		if p.alerted[netip.PrefixFrom(address(a), 32)] {
			found += 100.0 / attackers
		}
	}
	return found, nil
}
