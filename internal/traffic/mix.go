package traffic

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Fields is the field list of a made record, in AWS's order: what a real-time
// log configuration for Weir should hold.
var Fields = []string{
	"timestamp", "c-ip", "sc-status", "sc-bytes", "cs-method", "cs-protocol", "cs-host", "cs-uri-stem",
	"x-edge-location", "x-edge-request-id", "x-host-header", "time-taken", "cs-protocol-version",
	"cs-user-agent", "cs-referer", "cs-uri-query", "x-edge-response-result-type", "x-forwarded-for",
	"ssl-protocol", "ssl-cipher", "x-edge-result-type", "sc-content-type", "sc-content-len", "c-port",
	"x-edge-detailed-result-type", "c-country", "cache-behavior-path-pattern", "cs-header-names",
	"cs-headers-count", "origin-fbl", "asn",
}

// Client is the truth about one made client.
type Client struct {
	Kind     string
	Attacker bool
	Addr     netip.Addr // the first it used: the IPv6 rotation takes a new one of its /64 each time
	Started  time.Time  // its first request
	Requests int
	Blocked  int // answered by the web ACL
}

// Prefix is what Weir calls the client: its IPv4 address or its IPv6 /64.
func (c *Client) Prefix() netip.Prefix {
	bits := 32
	if c.Addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(c.Addr, bits).Masked()
}

// Config says what a Mix is made of.
type Config struct {
	Seed   uint64
	Fields []string // field names in AWS's order; nil = Fields
	Start  time.Time
	Rate   float64 // records a second that the visitors make together, about

	// Attackers of every kind start evenly spread over Spread. With Waves they
	// come again, as new clients, each Spread.
	Spread time.Duration
	Waves  bool

	// Verdict is asked before each request: the status of the web ACL's block
	// response, or 0 when the request is let through. nil lets all through.
	Verdict func(addr netip.Addr, at time.Time) int
}

// Mix makes records. It belongs to one goroutine.
type Mix struct {
	cfg     Config
	cols    []column
	rnd     *rand.Rand
	actors  queue
	clients []*Client
	wave    time.Time // when the next wave of attackers is made; zero: never
	line    []byte
	nextID  uint64
}

// New makes the population: enough visitors for the rate, and one wave of
// attackers.
func New(cfg Config) *Mix {
	if cfg.Fields == nil {
		cfg.Fields = Fields
	}
	m := &Mix{
		cfg:    cfg,
		cols:   layout(cfg.Fields),
		rnd:    rand.New(rand.NewPCG(cfg.Seed, 1)),
		nextID: cfg.Seed<<40 + 1,
	}
	for _, k := range fixedVisitors {
		m.join(k, cfg.Start.Add(m.upTo(time.Second)))
	}
	want, have := cfg.Rate, 0.0
	for have < want {
		k := m.pickVisitor()
		have += k.rate
		m.join(k, cfg.Start.Add(m.upTo(4*time.Second)))
	}
	m.attack(cfg.Start)
	return m
}

// Kinds names every kind of attacker, in the order in which they start.
func Kinds() []string {
	names := make([]string, len(attackers))
	for i, k := range attackers {
		names[i] = k.name
	}
	return names
}

// Clients is the truth about everyone who has made a request.
func (m *Mix) Clients() []*Client {
	return slices.DeleteFunc(slices.Clone(m.clients), func(c *Client) bool { return c.Requests == 0 })
}

// Until makes every request that is due before t, in order of time. The line
// belongs to the Mix and is good until emit returns.
func (m *Mix) Until(t time.Time, emit func(line []byte)) {
	for {
		if !m.wave.IsZero() && !m.wave.After(t) {
			m.attack(m.wave)
		}
		if len(m.actors) == 0 || m.actors[0].next.After(t) {
			return
		}
		a := m.actors[0]
		m.request(a, emit)
		if a.left == 0 {
			heap.Pop(&m.actors)
			if !a.client.Attacker {
				m.join(m.pickVisitor(), a.next)
			}
			continue
		}
		heap.Fix(&m.actors, 0)
	}
}

// request lets an actor make its next request.
func (m *Mix) request(a *actor, emit func([]byte)) {
	r := request{
		at: a.next, addr: a.client.Addr, method: "GET", host: "www.example.com",
		status: 200, bytes: 4000 + a.rnd.IntN(40_000), took: time.Duration(5+a.rnd.IntN(120)) * time.Millisecond,
		contentType: "text/html; charset=utf-8", protocol: "HTTP/2.0",
		agent: a.agent, headers: a.headers, country: a.country, asn: a.asn, id: m.nextID,
	}
	m.nextID++
	wait := a.act(a, &r)
	if m.cfg.Verdict != nil {
		if status := m.cfg.Verdict(r.addr, r.at); status != 0 {
			r.blocked, r.status, r.bytes, r.hit = true, status, 420, false
			r.took, r.contentType = time.Millisecond, "text/plain"
			a.client.Blocked++
		}
	}
	if a.client.Requests == 0 {
		a.client.Started, a.client.Addr = r.at, r.addr
	}
	a.client.Requests++
	a.step++
	a.left--
	a.next = a.next.Add(wait)
	m.line = appendLine(m.line[:0], m.cols, &r)
	emit(m.line)
}

// attack adds one attacker of each kind, spread over the wave.
func (m *Mix) attack(start time.Time) {
	for i, k := range attackers {
		m.join(k, start.Add(m.cfg.Spread*time.Duration(i)/time.Duration(len(attackers))))
	}
	m.wave = time.Time{}
	if m.cfg.Waves {
		m.wave = start.Add(max(m.cfg.Spread, time.Second))
	}
}

// join adds one client of a kind.
func (m *Mix) join(k *kind, at time.Time) {
	seed := m.rnd.Uint64()
	a := &actor{
		rnd:    rand.New(rand.NewPCG(seed, 2)),
		client: &Client{Kind: k.name, Attacker: k.attacker},
		act:    k.act,
		next:   at,
	}
	a.client.Addr = k.address(a.rnd)
	a.left = k.requests(a.rnd)
	place := places[a.rnd.IntN(len(places))]
	a.country, a.asn = place.country, place.asn
	a.agent = k.agents[a.rnd.IntN(len(k.agents))]
	a.headers = k.headers
	m.clients = append(m.clients, a.client)
	heap.Push(&m.actors, a)
}

func (m *Mix) pickVisitor() *kind {
	n := m.rnd.IntN(100)
	for _, v := range visitors {
		if n -= v.share; n < 0 {
			return v.kind
		}
	}
	panic(fmt.Sprintf("BUG: the shares of visitors do not add up to 100: %d left", n))
}

func (m *Mix) upTo(d time.Duration) time.Duration { return time.Duration(m.rnd.Int64N(int64(d))) }

// actor is one client at work.
type actor struct {
	client  *Client
	rnd     *rand.Rand
	act     func(*actor, *request) time.Duration // fills the request, says how long until the next
	next    time.Time
	step    int
	left    int // requests still to make; never reaches 0 when it starts negative
	agent   string
	headers []string
	country string
	asn     int
}

// queue orders actors by the time of their next request.
type queue []*actor

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*actor)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
