package detect

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// A Match is a record that scenarios match, without its log line: what an Engine in another
// process needs of it.
type Match struct {
	Addr    netip.Addr
	Bits    uint8  // of the network around Addr that is the client
	Status  uint16 // as of a Record
	Time    int64  // Unix milliseconds
	Arrived int64  // when the stream got the record, Unix milliseconds; 0 = unknown

	// Request is what the record is known by when it comes twice: 48 bits that follow from its
	// request id and what was asked for. 0 = it has no id, or may come twice.
	Request uint64

	// Apart says that the hits are on the bucket of one network or one value. The record
	// itself counts already: it is neither a duplicate nor of a banned client.
	Apart bool

	Hits    []scenario.Hit // in the order of scenario.Matcher.Match
	Columns []byte         // for samples: see sampleColumns. Nil if no hit pours

	receipt Receipt
}

// A Receipt is what a Front notes when a Match has arrived where it is counted.
type Receipt struct{ client, shields uint64 }

// Receipt returns that of a Match, false if there is nothing to note.
func (m *Match) Receipt() (Receipt, bool) { return m.receipt, m.receipt.shields != 0 }

// requestBits is how many bits a Match has of what a record is known by. The client is part of
// that, too, so one of two records of a client is taken for the other in 2^48 cases.
const requestBits = 48

// Client returns the network that the record is counted against.
func (m *Match) Client() netip.Prefix {
	p, _ := m.Addr.Prefix(int(m.Bits)) // not valid when the bits are not those of an address
	return p
}

// FrontConfig says how a Front is built.
type FrontConfig struct {
	// Banned is that of Config.
	Banned func(client netip.Prefix, at int64) bool

	Seed seeded.Seed // the one of the Engines that are told; zero = a random one

	Registerer prometheus.Registerer // required
}

// A Front is the first half of an Engine, for a process that keeps no buckets: it tells which
// records an Engine elsewhere has to know of. Any number of goroutines may use it at once.
type Front struct {
	plan   *plan
	banned func(netip.Prefix, int64) bool
	sent   marks       // only the shields in it
	scouts chan *scout // that no Match holds: a collection of garbage does not take what their matchers keep

	records             [frontOutcomes]prometheus.Counter
	interpreted, failed prometheus.Counter // runs of filters
}

// A frontOutcome is what became of a record in a Front.
type frontOutcome uint8

const (
	frontMatched frontOutcome = iota
	frontBlocked
	frontUnmatched
	frontOutcomes
)

var frontOutcomeNames = [frontOutcomes]string{"matched", "blocked", "unmatched"}

// A scout is what one Match of a Front needs.
type scout struct {
	matcher matcher
	match   Match
	hits    []scenario.Hit
	columns [maxSample]byte
	counted [frontOutcomes]uint64
}

// NewFront makes a Front of a set of scenarios.
func NewFront(set *scenario.Set, cfg FrontConfig) (*Front, error) {
	if set == nil {
		return nil, errors.New("build the matching of records: there is no scenario set")
	}
	return newFront(planOf(set), cfg)
}

func newFront(p *plan, cfg FrontConfig) (*Front, error) {
	if cfg.Registerer == nil {
		return nil, fmt.Errorf("build the matching of records: %w", errors.New("there is no registerer for the metrics"))
	}
	if cfg.Seed == (seeded.Seed{}) {
		cfg.Seed = seeded.New()
	}
	p.hashWith(cfg.Seed)
	f := &Front{plan: p, banned: cfg.Banned, scouts: make(chan *scout, maxIdleDealers)}
	records := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ingest_records_total",
		Help: "Records by what became of them: matched by a scenario and sent on, blocked (client banned at that time), or unmatched by all.",
	}, []string{"outcome"})
	for i, name := range frontOutcomeNames {
		f.records[i] = records.WithLabelValues(name)
	}
	f.interpreted, f.failed = newInterpreted(cfg.Registerer)
	cfg.Registerer.MustRegister(records)
	return f, nil
}

// Match calls take, in the order of the records, for those of which an Engine has to know: the
// index of each, what is to be known of it, and its partition. What take is given is good
// until it returns. The shields of a Match are left out of later ones once Sent was told of
// it.
func (f *Front) Match(records []cloudfront.Record, take func(i int, m *Match, partition int)) {
	var s *scout
	select {
	case s = <-f.scouts:
	default:
		s = &scout{matcher: f.plan.matcher()}
	}
	for i := range records {
		r := &records[i]
		k := f.plan.hasher.client(r)
		hash := f.plan.hasher.hash(k)
		outcome := f.match(s, r, hash)
		s.counted[outcome]++
		if outcome == frontMatched {
			take(i, &s.match, PartitionOf(Partition(hash)))
		}
	}
	for i := range s.counted {
		move(f.records[i], &s.counted[i])
	}
	runs, failed := s.matcher.Interpreted()
	move(f.interpreted, &runs)
	move(f.failed, &failed)
	select {
	case f.scouts <- s:
	default: // enough of them are kept
	}
}

// match makes the Match of a record whose client has the hash.
func (f *Front) match(s *scout, r *cloudfront.Record, hash uint64) frontOutcome {
	var gist scenario.Gist
	s.hits, gist = s.matcher.MatchGist(r, s.hits[:0])
	hits := s.hits
	receipt := Receipt{client: hash}
	if gist.Shield != 0 {
		if receipt.shields = shieldsOf(&gist, hash, r.Time); f.sent.line(hash).knows(receipt.shields) {
			hits, receipt.shields = hits[:gist.Shields], 0 // which would change nothing
		}
	}
	if len(hits) == 0 && r.Status < 400 {
		return frontUnmatched
	}
	client := clientOf(r)
	if f.banned != nil && f.banned(client, r.Time) {
		return frontBlocked
	}
	if len(hits) == 0 {
		return frontUnmatched
	}
	m := &s.match
	*m = Match{Addr: r.Addr, Bits: uint8(client.Bits()), Status: r.Status, Time: r.Time, Arrived: r.Arrived, Hits: hits, receipt: receipt}
	if gist.Shields > 0 { // a shield may come twice
		m.Request = requestOf(f.plan.texts, r) >> (64 - requestBits)
	}
	if gist.Lowers > 0 {
		m.Columns = s.columns[:putColumns(s.columns[:], r)-1]
	}
	return frontMatched
}

// Sent notes that a Match has arrived: the shields in it are not sent again.
func (f *Front) Sent(r Receipt) { f.sent.line(r.client).send(r.shields) }

// requestOf hashes the id of a request and what was asked for. 0 = there is no id.
func requestOf(texts *seeded.Hasher, r *cloudfront.Record) uint64 {
	id := r.Raw(cloudfront.FieldXEdgeRequestID)
	if len(id) == 0 {
		return 0
	}
	stem := texts.Bytes(r.Raw(cloudfront.FieldCSURIStem))
	return max(1<<(64-requestBits), texts.Bytes(id)^bits.RotateLeft64(stem, 32))
}

// isApart reports whether the buckets of a scenario are for networks or values.
func (p *plan) isApart(scenarioIndex uint16) bool {
	return p.scenarios[scenarioIndex].Group.By != scenario.ByClient
}
