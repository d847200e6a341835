package wafsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
	"weir/internal/waf"
)

const (
	grace  = 30 * time.Second      // as in the service
	uplink = 20 * time.Millisecond // of a call, until the stand-in has it
	answer = 80 * time.Millisecond // until the caller has the answer
)

// world is an account with IP sets, and what is seen of it from outside: bans and
// calls are timed by the stand-in's history, not by what a writer says of itself.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	server *awslocal.Server
	store  *store
	rate   float64
	meddle func(set string)

	mu        sync.Mutex
	held      map[netip.Prefix]int // in how many sets
	made      map[netip.Prefix]time.Time
	ended     map[netip.Prefix]time.Time
	adds      []time.Duration // latencies
	expires   []time.Duration
	moves     map[netip.Prefix][]move
	links     []*link
	updates   []time.Time // UpdateIPSet calls, as they arrived
	reads     int
	refused   int
	conflicts int
	stale     int                   // bans that were written though they had ended
	hand      map[netip.Prefix]bool // what a person added and did not take out again
	next      int                   // number of the next address

	processes  int // that write; those of one share their budget
	everywhere int // a ban counts as enforced when it is in so many sets; 0 = 1
}

// move is a write that put an address into a set, or took it out.
type move struct {
	at time.Time
	in bool
}

func newWorld(t *testing.T, rate float64) *world {
	w := &world{
		t: t, rate: rate, rng: rand.New(rand.NewPCG(*seed, 4)), store: newStore(),
		held: make(map[netip.Prefix]int), moves: make(map[netip.Prefix][]move),
		hand: make(map[netip.Prefix]bool),
	}
	w.server = awslocal.New(awslocal.Config{
		OnCall: w.called,
		WAF: awslocal.WAFConfig{Enforce: true, OnWrite: w.written, Meddle: func(set string) {
			if w.meddle != nil {
				w.meddle(set)
			}
		}},
	})
	w.reset()
	return w
}

// reset begins the measurement.
func (w *world) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made, w.ended = make(map[netip.Prefix]time.Time), make(map[netip.Prefix]time.Time)
	w.adds, w.expires, w.updates, w.reads, w.refused = nil, nil, nil, 0, 0
	clear(w.moves)
}

// called is told of every call.
func (w *world) called(c awslocal.Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Action == "UpdateIPSet" {
		w.updates = append(w.updates, c.At)
	} else {
		w.reads++
	}
	switch {
	case c.Code == "WAFOptimisticLockException":
		w.conflicts++
	case c.Code != "" && c.Fault == "":
		w.refused++
	}
}

// written is told of every accepted write.
func (w *world) written(u awslocal.Write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range u.Added {
		w.held[p]++
		if e, known := w.store.past(p); !u.ByHand && known && !e.Until.After(u.At.Add(-uplink)) {
			w.stale++
		}
		if at, ok := w.made[p]; ok && !u.ByHand && w.held[p] >= w.everywhere {
			w.adds = append(w.adds, u.At.Sub(at)+answer)
			delete(w.made, p)
		}
	}
	for _, p := range u.Removed {
		if w.held[p]--; w.held[p] == 0 {
			delete(w.held, p)
		}
		if at, ok := w.ended[p]; ok && !u.ByHand {
			w.expires = append(w.expires, u.At.Sub(at)+answer)
			delete(w.ended, p)
		}
	}
	if !u.ByHand {
		w.moved(u)
	}
}

// moved keeps when a writer added and removed addresses. w.mu is held.
func (w *world) moved(u awslocal.Write) {
	for _, p := range u.Added {
		w.moves[p] = append(w.moves[p], move{u.At, true})
	}
	for _, p := range u.Removed {
		w.moves[p] = append(w.moves[p], move{u.At, false})
	}
}

// flapping counts the addresses that writers added, or removed, more than once
// within a minute.
func (w *world) flapping() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.moves {
		for i, m := range list {
			again := func(o move) bool { return o.in == m.in && o.at.Sub(m.at) < time.Minute }
			if slices.ContainsFunc(list[i+1:], again) {
				n++
				break
			}
		}
	}
	return n
}

// sdk is the AWS SDK's client of the stand-in.
func (w *world) sdk(region string) *wafv2.Client {
	return wafv2.New(wafv2.Options{
		Region: region, BaseEndpoint: aws.String("http://waf.test"), HTTPClient: w.server.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
		Retryer: aws.NopRetryer{},
	})
}

// sets makes n IP sets that are called PREFIX0, PREFIX1 and so on.
func (w *world) sets(scope types.Scope, prefix string, version types.IPAddressVersion, n int) {
	w.t.Helper()
	client := w.sdk("us-east-1")
	for i := range n {
		pass(time.Second)
		_, err := client.CreateIPSet(context.Background(), &wafv2.CreateIPSetInput{
			Name: aws.String(fmt.Sprint(prefix, i)), Scope: scope, IPAddressVersion: version, Addresses: []string{},
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// link is a process's way to AWS: it takes time, and where the process is stopped
// (SIGSTOP), what it sends and receives waits until it goes on.
type link struct {
	*wafv2.Client
	mu      sync.Mutex
	stopped chan struct{} // nil = it runs; else closed when it goes on
	sent    []time.Time   // updates
}

func (w *world) link() *link {
	l := &link{Client: w.sdk("us-east-1")}
	w.links = append(w.links, l)
	return l
}

func (l *link) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = make(chan struct{})
}

func (l *link) goOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.stopped)
	l.stopped = nil
}

// wait takes d, and as long as the process is stopped. The deadline of a call
// passes meanwhile, but what was sent before is on its way.
func (l *link) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	stopped := l.stopped
	l.mu.Unlock()
	if stopped != nil {
		<-stopped
		return ctx.Err()
	}
	return nil
}

// UpdateIPSet sends the update even when the process was stopped for longer than
// the call may take: as if it had been stopped with the request half written.
func (l *link) UpdateIPSet(ctx context.Context, in *wafv2.UpdateIPSetInput, o ...func(*wafv2.Options)) (*wafv2.UpdateIPSetOutput, error) {
	l.mu.Lock()
	l.sent = append(l.sent, time.Now())
	l.mu.Unlock()
	late := l.wait(ctx, uplink)
	if late != nil && !errors.Is(late, context.DeadlineExceeded) {
		return nil, late
	}
	send := ctx
	if late != nil {
		send = context.WithoutCancel(ctx)
	}
	out, err := l.Client.UpdateIPSet(send, in, o...)
	if late := l.wait(ctx, answer); late != nil {
		return nil, late
	}
	return out, err
}

// GetIPSet reads a set.
func (l *link) GetIPSet(ctx context.Context, in *wafv2.GetIPSetInput, o ...func(*wafv2.Options)) (*wafv2.GetIPSetOutput, error) {
	if err := l.wait(ctx, uplink); err != nil {
		return nil, err
	}
	out, err := l.Client.GetIPSet(ctx, in, o...)
	if late := l.wait(ctx, answer); late != nil {
		return nil, late
	}
	return out, err
}

// ListIPSets lists sets.
func (l *link) ListIPSets(ctx context.Context, in *wafv2.ListIPSetsInput, o ...func(*wafv2.Options)) (*wafv2.ListIPSetsOutput, error) {
	if err := l.wait(ctx, uplink); err != nil {
		return nil, err
	}
	out, err := l.Client.ListIPSets(ctx, in, o...)
	if late := l.wait(ctx, answer); late != nil {
		return nil, late
	}
	return out, err
}

// process is a writer at work.
type process struct {
	*waf.Writer
	kill context.CancelFunc
	done chan struct{}
	err  error // of Run, once done is closed
}

func (w *world) start(cfg waf.Config) *process {
	w.t.Helper()
	writer, err := waf.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{Writer: writer, kill: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = writer.Run(ctx)
	}()
	return p
}

func (p *process) halt() {
	p.kill()
	<-p.done
}

// pass lets time pass and everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until waits until done, for at most the limit, and tells for how long.
func (w *world) until(limit time.Duration, done func() bool) time.Duration {
	w.t.Helper()
	for begin := time.Now(); ; pass(100 * time.Millisecond) {
		switch took := time.Since(begin); {
		case done():
			return took
		case took > limit:
			w.t.Fatalf("not done within %s", limit)
		}
	}
}

// v4 gives another public address each time; neighbours are far apart, so that
// nothing can be merged.
func (w *world) v4() netip.Prefix {
	w.next++
	x := uint32(w.next) * 2654435761
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{20 + byte(x>>24)%79, byte(x >> 16), byte(x >> 8), byte(x)}), 32)
}

// v6 is v4 for a network of 64 bits.
func (w *world) v6() netip.Prefix {
	w.next++
	x := uint32(w.next) * 2654435761
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x26, 0x00, byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)}), 64)
}

// address is one of IPv6 with that chance.
func (w *world) address(six float64) netip.Prefix {
	if w.rng.Float64() < six {
		return w.v6()
	}
	return w.v4()
}

// ban makes a ban whose latency is measured.
func (w *world) ban(e waf.Entry) {
	e.Created = time.Now()
	w.mu.Lock()
	w.made[e.Prefix] = e.Created
	w.mu.Unlock()
	w.store.add(e)
}

// ends has the removal of a ban measured that ends then.
func (w *world) ends(p netip.Prefix, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended[p] = at
}

// holding says how many sets hold p.
func (w *world) holding(p netip.Prefix) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held[p]
}

// allHeld gives what sets hold, in no order.
func (w *world) allHeld() []netip.Prefix {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.held))
}

// countAt has bans count as enforced when they are in so many sets.
func (w *world) countAt(sets int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.everywhere = sets
}

// expiry draws how long a ban lasts: so that in the long run every moment has the
// same number of expiries.
func (w *world) expiry(mean time.Duration) time.Duration {
	return time.Duration(w.rng.ExpFloat64() * float64(mean))
}

// percentile gives the q-th part of a list, in seconds.
func percentile(list []time.Duration, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return round(list[min(len(list)-1, int(math.Ceil(q*float64(len(list))))-1)].Seconds())
}

// lost counts the bans in force, of at least that age, that no set holds.
func (w *world) lost(age time.Duration) (n int) {
	now := time.Now()
	for p, e := range w.store.inForce() {
		w.mu.Lock()
		if w.held[p] == 0 && now.Sub(e.Created) > age {
			n++
		}
		w.mu.Unlock()
	}
	return n
}

// report fills the figures in, and holds the calls against the budget: in any
// window of a writer's life, no more updates than the rate allows, and one.
func (w *world) report(f *figures) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for p, at := range w.made {
		if w.held[p] < max(1, w.everywhere) {
			w.adds = append(w.adds, now.Sub(at)) // still waiting
		}
	}
	for p, at := range w.ended {
		if w.held[p] > 0 && at.Before(now) {
			w.expires = append(w.expires, now.Sub(at))
		}
	}
	f.BanP50, f.BanP99 = percentile(w.adds, .5), percentile(w.adds, .99)
	f.ExpiryP99 = percentile(w.expires, .99)
	f.Calls, f.Refused, f.Writes = len(w.updates)+w.reads, w.refused, len(w.updates)
	f.holds("writes a second, between any two", w.fastest(), w.rate)
	if w.processes <= 1 { // which know nothing of each other's calls
		f.holds("refused", float64(f.Refused), 0)
	}
	f.holds("lost", float64(f.Lost), 0)
	f.holds("written after their end", float64(w.stale), 0)
}

// fastest is the rate between the two updates of a process that are closest to
// each other, whatever target or pool they are for. w.mu is held.
func (w *world) fastest() float64 {
	lists := [][]time.Time{w.updates}
	if w.processes > 1 {
		lists = nil
		for _, l := range w.links {
			lists = append(lists, l.sent)
		}
	}
	gap := time.Hour
	for _, list := range lists {
		for i := range list[min(1, len(list)):] {
			gap = min(gap, list[i+1].Sub(list[i]))
		}
	}
	return 1 / gap.Seconds()
}

// slot is what the budget leaves between two writes.
func (w *world) slot() time.Duration { return time.Duration(float64(time.Second) / w.rate) }

// wrote counts the updates that arrived since a time.
func (w *world) wrote(since time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.updates {
		if !at.Before(since) {
			n++
		}
	}
	return n
}

// overdue gives the sets that hold a ban which ended before a time.
func (w *world) overdue(before time.Time) (sets []string) {
	for name, list := range w.server.WAF().Addresses("CLOUDFRONT") {
		if slices.ContainsFunc(list, func(p netip.Prefix) bool {
			e, known := w.store.past(p)
			return known && e.Until.Before(before)
		}) {
			sets = append(sets, name)
		}
	}
	return sets
}

// strangers counts what the sets hold beside the bans that were in force until so
// long ago and what a person added, what they hold twice, and what of the latter
// they do not hold.
func (w *world) strangers(ago time.Duration) (extra, twice, gone int) {
	bans := w.store.inForce()
	for p, e := range w.store.over {
		if time.Since(e.Until) < ago {
			bans[p] = e
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, n := range w.held {
		if _, banned := bans[p]; !banned && !w.hand[p] {
			extra++
		}
		if n > 1 && !w.hand[p] {
			twice++
		}
	}
	for p := range w.hand {
		if w.held[p] == 0 {
			gone++
		}
	}
	return extra, twice, gone
}
