package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// scenarios are those that Weir runs with. Their buckets leak so slowly that a run is
// over before anything has leaked, so whether a client must be banned is a matter of
// counting: each record once.
const scenarios = `type: leaky
name: chaos-drip
description: More than 6 requests.
filter: evt.Meta.http_path startsWith '/drip/'
groupby: weir.client
capacity: 6
leakspeed: 4h
blackhole: 4h
ban: 24h
labels: {service: http, remediation: true}
---
type: leaky
name: chaos-distinct
description: More than 6 different paths.
filter: evt.Meta.http_path startsWith '/distinct/'
groupby: weir.client
distinct: weir.path
capacity: 6
leakspeed: 4h
blackhole: 4h
ban: 24h
labels: {service: http, remediation: true}
---
type: trigger
name: chaos-shot
description: One request is enough.
filter: evt.Meta.http_path startsWith '/shot/'
groupby: weir.client
blackhole: 4h
ban: 24h
labels: {service: http, remediation: true}
---
type: leaky
name: chaos-range
description: More than 4 clients of a network.
filter: evt.Meta.http_path startsWith '/range/'
groupby: weir.range
range: {ipv4: 24, ipv6: 56}
distinct: weir.client
capacity: 4
leakspeed: 4h
blackhole: 4h
ban: 24h
labels: {service: http, remediation: true}
`

// fields are the columns of a made line.
const fields = "timestamp,c-ip,sc-status,cs-method,cs-host,cs-uri-stem,x-edge-request-id,cs-protocol-version,cs-user-agent"

// A kind is a sort of planned client.
type kind struct {
	name     string
	scenario string // that bans it; "" = none may
	rate     float64
	steps    func(p *plan, c *suspect) []step
}

// A step is one record of a suspect.
type step struct {
	addr    netip.Addr
	path    string
	request string // id; the same again is a record that the producer sent twice
}

// kinds are those who must be banned, and for each of them one who stops just short
// of it, with whatever a counter that forgets or counts twice would take for more.
var kinds = []kind{
	{name: "shot", scenario: "chaos-shot", rate: 0.5, steps: func(p *plan, c *suspect) []step {
		return []step{p.step(c, "/shot/1")}
	}},
	{name: "drip", scenario: "chaos-drip", rate: 1.5, steps: func(p *plan, c *suspect) []step {
		return p.steps(c, 7, func(int) string { return "/drip/x" })
	}},
	{name: "drip-short", rate: 1.5, steps: func(p *plan, c *suspect) []step {
		return p.twice(p.steps(c, 6, func(int) string { return "/drip/x" }))
	}},
	{name: "distinct", scenario: "chaos-distinct", rate: 1, steps: func(p *plan, c *suspect) []step {
		list := p.steps(c, 7, func(i int) string { return "/distinct/" + strconv.Itoa(i) })
		return append(list, p.steps(c, 1, func(int) string { return "/distinct/0" })...)
	}},
	{name: "distinct-short", rate: 1, steps: func(p *plan, c *suspect) []step {
		return p.twice(p.steps(c, 24, func(i int) string { return "/distinct/" + strconv.Itoa(i%6) }))
	}},
	{name: "range", scenario: "chaos-range", rate: 0.3, steps: func(p *plan, c *suspect) []step {
		return p.members(c, 5)
	}},
	{name: "range-short", rate: 0.3, steps: func(p *plan, c *suspect) []step {
		return append(p.members(c, 4), p.members(c, 4)...)
	}},
	{name: "visitor", rate: 4, steps: func(p *plan, c *suspect) []step {
		return p.steps(c, 20, func(i int) string { return "/page/" + strconv.Itoa(i) })
	}},
}

// A suspect is a planned client, or a network of them.
type suspect struct {
	kind *kind
	who  netip.Prefix // whom a ban would be of
	left []step
	next time.Time
}

// A plan is who sends what. It belongs to one goroutine; the same seed makes the same
// suspects, and only when they come follows from the clock.
type plan struct {
	rnd      *rand.Rand
	made     int
	requests int
	active   []*suspect
	all      []*suspect
	owed     []float64 // by kind: parts of the next one
}

func newPlan(seed uint64) *plan {
	return &plan{rnd: rand.New(rand.NewPCG(seed, 5)), owed: make([]float64, len(kinds))}
}

// meanGap is the mean time between two records of a suspect: some kills come between.
const meanGap = 3 * time.Second

// tick makes the suspects that are due in the time since the last tick, and returns the
// records that are due.
func (p *plan) tick(now time.Time, since time.Duration) (due []step) {
	for i := range kinds {
		for p.owed[i] += kinds[i].rate * since.Seconds(); p.owed[i] >= 1; p.owed[i]-- {
			p.join(&kinds[i], now)
		}
	}
	kept := p.active[:0]
	for _, c := range p.active {
		for len(c.left) > 0 && !c.next.After(now) {
			due = append(due, c.left[0])
			c.left = c.left[1:]
			c.next = c.next.Add(time.Duration(p.rnd.ExpFloat64() * float64(meanGap)))
		}
		if len(c.left) > 0 {
			kept = append(kept, c)
		}
	}
	clear(p.active[len(kept):])
	p.active = kept
	return due
}

// finish returns what everybody still has to send.
func (p *plan) finish() (due []step) {
	for _, c := range p.active {
		due = append(due, c.left...)
		c.left = nil
	}
	p.active = nil
	return due
}

// canary returns the one record of a client that it bans.
func (p *plan) canary() (step, netip.Prefix) {
	c := p.join(&kinds[0], time.Time{})
	s := c.left[0]
	c.left = nil
	p.active = p.active[:len(p.active)-1]
	return s, c.who
}

// join makes a suspect. Each has a network of its own, of one family or the other.
func (p *plan) join(k *kind, now time.Time) *suspect {
	n := p.made
	p.made++
	c := &suspect{kind: k, next: now}
	if n%4 == 3 {
		c.who = netip.MustParsePrefix(fmt.Sprintf("2a0%d:%x:%x::/64", 1+n>>16&3, 0x1000+n>>8&0xff, n&0xff<<8))
	} else {
		c.who = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(45 + n>>16), byte(n >> 8), byte(n), 7}), 32)
	}
	c.left = k.steps(p, c)
	p.active, p.all = append(p.active, c), append(p.all, c)
	return c
}

func (p *plan) step(c *suspect, path string) step {
	p.requests++
	a := c.who.Addr()
	if a.Is6() { // a client is a /64, and takes another address of it each time
		b := a.As16()
		b[15], b[14] = byte(p.requests), byte(p.requests>>8)
		a = netip.AddrFrom16(b)
	}
	return step{a, path, "request-" + strconv.Itoa(p.requests)}
}

func (p *plan) steps(c *suspect, n int, path func(i int) string) (list []step) {
	for i := range n {
		list = append(list, p.step(c, path(i)))
	}
	return list
}

// twice has every other record sent once more, soon or late.
func (p *plan) twice(list []step) []step {
	for i := 0; i < len(list); i += 2 {
		list = append(list, list[i])
	}
	return list
}

// members returns a record of each of n clients of the suspect's network, which
// becomes whom a ban would be of.
func (p *plan) members(c *suspect, n int) (list []step) {
	bits := 24
	if c.who.Addr().Is6() {
		bits = 56
	}
	c.who = netip.PrefixFrom(c.who.Addr(), bits).Masked()
	for i := range n {
		p.requests++
		a := c.who.Addr().AsSlice()
		if bits == 24 {
			a[3] = byte(10 + i)
		} else {
			a[7] = byte(10 + i)
		}
		addr, _ := netip.AddrFromSlice(a) // it has the length of one
		list = append(list, step{addr, "/range/x", "request-" + strconv.Itoa(p.requests)})
	}
	return list
}

// line is a step as CloudFront logs it.
func (s *step) line(at time.Time) []byte {
	ms := at.UnixMilli()
	return fmt.Appendf(nil, "%d.%03d\t%s\t200\tGET\twww.example.com\t%s\t%s\tHTTP/2.0\tMozilla/5.0", ms/1000, ms%1000, s.addr, s.path, s.request)
}
