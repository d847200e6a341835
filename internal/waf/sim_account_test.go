package waf

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
	"weir/internal/reserved"
)

// simAccount is an account with targets, and an auditor who sees every write of
// every set and knows who did it.
type simAccount struct {
	t      *testing.T
	seed   uint64
	server *awslocal.Server
	ledger *ledger
	book   *tokenBook

	rate     float64
	grace    time.Duration
	period   time.Duration
	capacity int

	targets   []*simTarget
	processes []*simProcess
	shares    uint64 // of time, given away
	mu        sync.Mutex
	sets      map[string]*simSet
	began     map[string]time.Time // of updates, by set and the description that they write
	excused   map[netip.Prefix]bool
	dubious   map[netip.Prefix]time.Time // nothing but its being wanted said whose it was, when a process read it first
	meddle    func(set string)
}

type simTarget struct {
	scope  types.Scope
	prefix string // of its sets' names
	sets   []*simSet
}

// dropping is the latest time that a Weir took an address out of a set.
type dropping struct {
	at    time.Time
	epoch uint64
}

type simSet struct {
	lost   map[netip.Prefix]dropping
	target *simTarget
	name   string
	word   string // pool
	family family
	held   map[netip.Prefix]bool
	since  map[netip.Prefix]time.Time // it was added, also of what was removed
	hand   map[netip.Prefix]bool      // added by people, and not taken out by them
	epoch  uint64                     // of the latest write by a Weir
}

// pool gives the sets that an entry belongs into; none where it is not to be written.
func (g *simTarget) pool(e Entry) (pool []*simSet) {
	if _, ok := canonical(e.Prefix); !ok || reserved.Overlaps(e.Prefix) || e.Prefix.Bits() < widest[familyOf(e.Prefix)] && !e.Wide {
		return nil
	}
	of := func(word string) (list []*simSet) {
		for _, s := range g.sets {
			if s.word == word && s.family == familyOf(e.Prefix) {
				list = append(list, s)
			}
		}
		return list
	}
	word, fallback := e.Action, "block"
	if e.List {
		fallback = listWord
		if word = listWord + "-" + e.Action; e.Action == "block" {
			word = listWord
		}
	}
	if pool = of(word); len(pool) == 0 && e.Action != "count" {
		pool = of(fallback)
	}
	return pool
}

func newSimAccount(t *testing.T, seed uint64, rng *rand.Rand) *simAccount {
	a := &simAccount{
		t: t, seed: seed, ledger: newLedger(t), book: newTokenBook(), sets: make(map[string]*simSet),
		began: make(map[string]time.Time), excused: make(map[netip.Prefix]bool), dubious: make(map[netip.Prefix]time.Time),
		rate:     []float64{0.3, 0.5, 0.9}[rng.IntN(3)],
		grace:    time.Duration(1+rng.IntN(30)) * time.Second,
		period:   time.Duration(5+rng.IntN(60)) * time.Second,
		capacity: setLimit,
	}
	if rng.IntN(3) == 0 {
		a.capacity = 30 + rng.IntN(100)
	}
	a.server = awslocal.New(awslocal.Config{
		Faults: awslocal.NewFaults(seed),
		WAF: awslocal.WAFConfig{Enforce: true, Page: 3, Seed: seed, OnWrite: a.audit, Meddle: func(set string) {
			if a.meddle != nil {
				a.meddle(set)
			}
		}},
	})
	a.targets = []*simTarget{{scope: types.ScopeCloudfront, prefix: "weir-"}}
	if rng.IntN(3) == 0 {
		a.targets = append(a.targets, &simTarget{scope: types.ScopeRegional, prefix: "shop-"})
	}
	for _, g := range a.targets {
		a.pool(g, "block", 1+rng.IntN(3), 1+rng.IntN(2))
		for _, word := range []string{"captcha", "count", "list"} {
			if rng.IntN(2) == 0 {
				a.pool(g, word, 1+rng.IntN(2), rng.IntN(2))
			}
		}
	}
	return a
}

// pool makes the sets of a pool.
func (a *simAccount) pool(g *simTarget, word string, v4s, v6s int) {
	for i := range v4s + v6s {
		s := &simSet{
			target: g, word: word, held: make(map[netip.Prefix]bool), since: make(map[netip.Prefix]time.Time), lost: make(map[netip.Prefix]dropping), hand: make(map[netip.Prefix]bool),
			name: fmt.Sprintf("%s%s-v4-%d", g.prefix, word, i),
		}
		version := types.IPAddressVersionIpv4
		if i >= v4s {
			s.name, s.family, version = fmt.Sprintf("%s%s-v6-%d", g.prefix, word, i-v4s), ipv6, types.IPAddressVersionIpv6
		}
		a.sets[s.name] = s
		g.sets = append(g.sets, s)
		pass(time.Second)
		_, err := a.client().CreateIPSet(context.Background(), &wafv2.CreateIPSetInput{
			Name: &s.name, Scope: g.scope, IPAddressVersion: version, Addresses: []string{},
		})
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *simAccount) client() *wafv2.Client {
	return wafv2.New(wafv2.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://waf.test"), HTTPClient: a.server.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
		Retryer: aws.NopRetryer{},
	})
}

// begins notes when an update began: what is written then was decided then.
// When it is tried again with nothing changed, the first time counts.
func (a *simAccount) begins(set, desc string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, again := a.began[set+desc]; !again {
		a.began[set+desc] = time.Now()
	}
}

// names gives the sets' names, in order.
func (a *simAccount) names() []string {
	var names []string
	for _, g := range a.targets {
		for _, s := range g.sets {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return names
}

// edit is a person who adds entries to a set and takes some out, at once.
func (a *simAccount) edit(name string, add, remove []netip.Prefix) {
	fence.Add(1)
	s := a.sets[name]
	a.mu.Lock()
	for _, p := range add {
		if !s.held[p] {
			s.hand[p] = true
		}
	}
	a.mu.Unlock()
	a.ledger.mu.Lock()
	for _, p := range remove {
		a.ledger.taken[p] = time.Now()
	}
	a.ledger.mu.Unlock()
	if err := a.server.WAF().EditByHand(string(s.target.scope), name, add, remove); err != nil {
		a.t.Error(err)
	}
}

// got notes what nobody can know of a set that was read: whose an entry is that the
// process had not seen there, when nothing proves that a Weir wrote it and it is
// not known to be wanted. Such an entry may stay for ever.
func (a *simAccount) got(name string, out *wafv2.GetIPSetOutput, known map[netip.Prefix]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	var held []netip.Prefix
	for _, text := range out.IPSet.Addresses {
		held = append(held, netip.MustParsePrefix(text))
	}
	ev := examine(aws.ToString(out.IPSet.Description), held, nil)
	for _, p := range held {
		e, banned := a.ledger.bans[p]
		sure := banned && known == nil && slices.Contains(a.sets[name].target.pool(e), a.sets[name]) && !ev.hands(p) && e.Until.After(time.Now().Add(2*time.Minute)) &&
			time.Since(e.Created) > time.Minute && a.ledger.allowedSince(p).IsZero()
		if sure && !ev.ours(p) {
			a.dubious[p] = time.Now()
		}
		if !known[p] && !ev.ours(p) && !sure && !a.sets[name].hand[p] {
			a.excused[p] = true
		}
	}
}

// audit looks at what one write changed.
func (a *simAccount) audit(w awslocal.Write) {
	fence.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	s := a.sets[w.Set]
	before := sumHeld(s.held)
	for _, p := range w.Removed {
		delete(s.held, p)
	}
	for _, p := range w.Added {
		s.held[p], s.since[p] = true, w.At
	}
	if w.ByHand {
		for _, p := range w.Removed {
			delete(s.hand, p)
		}
		a.book.edited(w.Set, before, sumHeld(s.held))
		return
	}
	began, ok := a.began[w.Set+w.Description]
	if !ok {
		if len(w.Added) > 0 {
			a.t.Errorf("%s was written with the description %q, by nobody", w.Set, w.Description)
		}
		return // it was just made
	}
	a.auditWriter(s, w)
	for _, p := range w.Added {
		a.auditAdded(s, p, began)
	}
	for p := range s.held {
		since := a.ledger.allowedSince(p)
		if at, ok := a.dubious[p]; ok && since.After(at) && since.Sub(at) < time.Minute {
			a.excused[p] = true // it was wanted no more when it was decided whose it is
		}
		if !since.IsZero() && since.Before(began) && !s.hand[p] && !a.excused[p] {
			a.t.Errorf("%v: %s was written to %s by a call begun %v, allowlisted since %v", time.Now(), p, s.name, began, since)
		}
	}
	for _, p := range w.Removed {
		s.lost[p] = dropping{w.At, s.epoch}
		a.auditRemoved(s, p, began)
	}
}

// auditWriter: no leader writes a set after a later one has.
func (a *simAccount) auditWriter(s *simSet, w awslocal.Write) {
	d, ok := parseDescription(w.Description)
	if !ok {
		a.t.Errorf("%s: description %q", s.name, w.Description)
	}
	if d.epoch < s.epoch {
		a.t.Errorf("%v: %s was written by the leader of epoch %d after that of %d", time.Now(), s.name, d.epoch, s.epoch)
	}
	s.epoch = d.epoch
	// People may have put more there. A wider entry in the place of what it stands for is
	// no more.
	more := func(p netip.Prefix) bool {
		return !slices.ContainsFunc(w.Removed, func(q netip.Prefix) bool { return q.Bits() > p.Bits() && p.Contains(q.Addr()) })
	}
	if len(s.held) > a.capacity && (len(w.Added) > len(w.Removed) || slices.ContainsFunc(w.Added, more)) {
		a.t.Errorf("%v: %s holds %d entries, at most %d are to be put there", time.Now(), s.name, len(s.held), a.capacity)
	}
}

// auditAdded: what is added is in force, every address of it, and may be written.
func (a *simAccount) auditAdded(s *simSet, p netip.Prefix, began time.Time) {
	banned := func(q netip.Prefix) bool {
		e, ok := a.ledger.bans[q]
		if !ok {
			e, ok = a.ledger.over[q]
		}
		was, replaced := a.ledger.was[q]
		return ok && e.Until.After(began.Add(-time.Second)) ||
			replaced && was.Until.After(began.Add(-time.Second))
	}
	if !covered(banned, p) && !a.excused[p] {
		a.t.Errorf("%v: %s was added to %s, and is not banned", time.Now(), p, s.name)
	}
	e, direct := a.ledger.bans[p]
	if reserved.Overlaps(p) || p.Bits() < widest[s.family] && direct && !e.Wide {
		a.t.Errorf("%v: %s was added to %s, which no one insists on", time.Now(), p, s.name)
	}
}

// auditRemoved: what is removed is over, or somewhere else in the target, or there
// is no room for it; and it was no person's.
func (a *simAccount) auditRemoved(s *simSet, p netip.Prefix, began time.Time) {
	if s.hand[p] {
		a.t.Errorf("%v: %s lost %s, which a person added", time.Now(), s.name, p)
	}
	holds := func(q netip.Prefix) bool {
		return slices.ContainsFunc(s.target.sets, func(o *simSet) bool { return o.held[q] })
	}
	held := func(q netip.Prefix) bool { return q == p || holds(q) } // before
	_, ended := a.ledger.over[p]
	_, replaced := a.ledger.was[p]
	_, goes := a.ledger.bans[p]
	for q, e := range a.ledger.bans {
		if p != q && (ended || replaced || goes) && !a.stoodFor(s, p, q) {
			continue // a ban of its own; what else it covered was by the way
		}
		if !p.Overlaps(q) || !e.Until.After(time.Now()) || !e.Created.Before(began.Add(-time.Second)) ||
			!a.ledger.allowedSince(q).IsZero() || a.unseen(s.target, q) || a.unseen(s.target, p) {
			continue
		}
		pool := s.target.pool(e)
		// Of two copies, two leaders may drop one each, where the later one read the
		// other's set before the earlier one's last write: it hears of that with the next
		// list or when it writes that set, and puts it back, which the end shows.
		if slices.ContainsFunc(s.target.sets, func(o *simSet) bool {
			return o != s && o.lost[q].epoch < s.epoch && time.Since(o.lost[q].at) < 2*time.Minute
		}) {
			continue
		}
		if len(pool) > 0 && e.Action != "count" && s.word != "count" && // which stops nobody
			!a.tight(pool) && covered(held, q) && !covered(holds, q) {
			a.t.Errorf("%v: a write of %s dropped %s, banned from %v until %v", time.Now(), s.name, q, e.Created, e.Until)
		}
	}
}

// stoodFor reports whether the ban of q has been in force since it was one of a set's
// pool, where that of p covered it. That one may go when its time is up, or for want of
// room, but not before q is held; at once if somebody ends it or allows a part of it.
func (a *simAccount) stoodFor(s *simSet, p, q netip.Prefix) bool {
	was, ok := a.ledger.was[q]
	return ok && was.Until.Equal(a.ledger.bans[q].Created) && was.Until.After(s.since[p]) && was.Until.Sub(was.Created) > time.Second &&
		slices.Contains(s.target.pool(was), s) && a.ledger.allowedSince(p).IsZero() && !a.ledger.early[p].After(s.since[p])
}

// unseen reports whether a person took p out of a set so lately that the leader may
// believe it to be there still, and take another copy out: it hears of what people do
// with the next list, once a period, and it may wait for its turn to read the set. What
// has been put back since is there for certain.
func (a *simAccount) unseen(g *simTarget, p netip.Prefix) bool {
	at := a.ledger.taken[p]
	return time.Since(at) < a.period+10*time.Second &&
		!slices.ContainsFunc(g.sets, func(o *simSet) bool { return o.since[p].After(at) })
}

// tight reports whether a pool has no room for all that is wanted. It counts every ban,
// though merging may make room: when that happens is the Writer's affair, and what it
// must not lose by it is held against twins in balance_test.go and split_test.go. Who
// goes without in a pool that is full, too, is settled there.
func (a *simAccount) tight(pool []*simSet) bool { return a.demand(pool, 0) >= len(pool)*a.capacity }

// crowded reports whether a pool has had no room for all that is wanted within the
// time that what was evicted stays so, and what came to be allowed needs.
func (a *simAccount) crowded(pool []*simSet) bool {
	return a.demand(pool, restFor+time.Duration(len(a.sets))*2*a.slot()) >= len(pool)*a.capacity
}

// demand is how many entries are wanted in a pool, or were a while ago, or are in its
// sets all the same: people's, and those that stay until somebody knows of them, or
// until another pool has room for them.
func (a *simAccount) demand(pool []*simSet, lately time.Duration) int {
	wants := make(map[netip.Prefix]bool)
	count := func(bans map[netip.Prefix]Entry, since time.Time) {
		for p, e := range bans {
			if mine := pool[0].target.pool(e); len(mine) > 0 && mine[0] == pool[0] && e.Until.After(since) {
				wants[p] = true
			}
		}
	}
	since := time.Now().Add(-lately)
	count(a.ledger.bans, time.Time{})
	if lately > 0 {
		count(a.ledger.over, since)
		count(a.ledger.was, since)
	}
	n := len(wants)
	merged := func(p netip.Prefix) bool {
		for q := range wants {
			if p.Overlaps(q) {
				return true
			}
		}
		return false
	}
	for _, s := range pool {
		for p := range s.held {
			if s.hand[p] || a.excused[p] || !merged(p) {
				n++
			}
		}
	}
	return n
}

// covered reports whether is holds for p, something that contains it, or for parts
// that together are all of it.
func covered(is func(netip.Prefix) bool, p netip.Prefix) bool {
	for bits := p.Bits(); bits > 0; bits-- {
		if q, _ := p.Addr().Prefix(bits); is(q) {
			return true
		}
	}
	return inParts(is, p, 8)
}

func inParts(is func(netip.Prefix) bool, p netip.Prefix, depth int) bool {
	if is(p) {
		return true
	}
	if depth == 0 || p.Bits() == p.Addr().BitLen() || p.Addr().Is6() && p.Bits() >= 64 {
		return false
	}
	low, high := halves(p)
	return inParts(is, low, depth-1) && inParts(is, high, depth-1)
}

func halves(p netip.Prefix) (low, high netip.Prefix) {
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	upper, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(p.Addr(), p.Bits()+1), netip.PrefixFrom(upper, p.Bits()+1)
}

func sumHeld(held map[netip.Prefix]bool) (sum uint64) {
	for p := range held {
		sum += hash64(p)
	}
	return sum
}

// byPrefix orders the content of a set, so that a seed does the same again.
func byPrefix(set map[netip.Prefix]bool) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(set))
	for p := range set {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	return list
}
