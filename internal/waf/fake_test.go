package waf

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeWAF is AWS WAF as far as a Writer sees it: strict about tokens, entries and
// descriptions, answering in another order and spelling than it was given, and
// failing when told to. It knows who added an entry, which AWS does not.
type fakeWAF struct {
	t  testing.TB
	mu sync.Mutex

	sets     []*fakeSet // by name
	rng      *rand.Rand
	latency  func() time.Duration
	fault    func(call string) fault // asked once a call; nil = none
	stale    time.Duration           // reads may be this old
	poison   netip.Prefix            // refused by name
	nameless bool                    // and without its name
	page     int                     // sets a page

	taken    map[netip.Prefix]time.Time // out of a set by people
	attempts []time.Time                // of UpdateIPSet
	reads    []time.Time                // of the others
	accepted []acceptedWrite
	check    func(s *fakeSet, before map[netip.Prefix]bool, began time.Time) // after each write of the Writer's
	stop     func()                                                          // crash: what a fault of that kind calls
}

type acceptedWrite struct {
	at  time.Time
	set string
	n   int
}

type fakeSet struct {
	name, id, arn string
	version       types.IPAddressVersion
	fakeState
	tokens  int
	history []fakeState
	hand    map[netip.Prefix]bool // added by people and not taken out by them
}

type fakeState struct {
	since time.Time
	token string
	desc  string
	held  map[netip.Prefix]bool
}

// fault is what goes wrong with one call.
type fault uint8

const (
	fine fault = iota
	throttle
	failBefore   // 500, not applied
	failAfter    // 500, applied
	lostBefore   // times out, not applied
	lostAfter    // times out, applied
	landsLate    // times out, applied a while later
	forbid       // AccessDeniedException
	crashBefore  // the process dies before the call takes effect
	crashAfter   // or after
	emptyRequest // connection refused
)

func newFake(t testing.TB, v4, v6 int) *fakeWAF {
	f := &fakeWAF{t: t, taken: make(map[netip.Prefix]time.Time), rng: rand.New(rand.NewPCG(1, 2)), page: 3, latency: func() time.Duration { return 0 }}
	f.add("office", types.IPAddressVersionIpv4) // somebody else's
	for i := range v4 {
		f.add(fmt.Sprintf("weir-block-v4-%d", i), types.IPAddressVersionIpv4)
	}
	for i := range v6 {
		f.add(fmt.Sprintf("weir-block-v6-%d", i), types.IPAddressVersionIpv6)
	}
	return f
}

func (f *fakeWAF) add(name string, version types.IPAddressVersion) *fakeSet {
	id := "id-" + name
	s := &fakeSet{
		name: name, id: id, version: version, hand: make(map[netip.Prefix]bool),
		arn:       "arn:aws:wafv2:us-east-1:123456789012:global/ipset/" + name + "/" + id,
		fakeState: fakeState{token: "token-" + name + "-0", held: make(map[netip.Prefix]bool)},
	}
	f.sets = append(f.sets, s)
	return s
}

func (f *fakeWAF) find(name string) *fakeSet {
	for _, s := range f.sets {
		if s.name == name {
			return s
		}
	}
	f.t.Fatalf("no set %s", name)
	return nil
}

func (f *fakeWAF) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sets = slices.DeleteFunc(f.sets, func(s *fakeSet) bool { return s.name == name })
}

// breaks sets what goes wrong from now on; nil = nothing.
func (f *fakeWAF) breaks(fault func(call string) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// fence orders what a test reads and changes between two passes of time with the
// Writer's calls, since a bubble's clock alone orders nothing.
var fence atomic.Int64

// pass lets time pass and everything that is due happen.
func pass(d time.Duration) {
	fence.Add(1)
	time.Sleep(d)
	synctest.Wait()
}

func apiError(code, text string) error { return &smithy.GenericAPIError{Code: code, Message: text} }

// begin waits for a call's latency and says what is wrong with it.
func (f *fakeWAF) begin(ctx context.Context, call string) (fault, error) {
	fence.Add(1)
	f.mu.Lock()
	wait := f.latency()
	now := time.Now()
	if call == "UpdateIPSet" {
		f.attempts = append(f.attempts, now)
	} else {
		f.reads = append(f.reads, now)
	}
	how := fine
	if f.fault != nil {
		how = f.fault(call)
	}
	f.mu.Unlock()
	if call != "UpdateIPSet" { // a read has no effect before or after which to fail
		switch how {
		case failAfter:
			how = failBefore
		case lostAfter, landsLate:
			how = lostBefore
		case crashAfter:
			how = crashBefore
		}
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return how, ctx.Err()
	}
	switch how {
	case throttle:
		return how, apiError("ThrottlingException", "Rate exceeded")
	case failBefore:
		return how, &types.WAFInternalErrorException{}
	case forbid:
		return how, apiError("AccessDeniedException", "not authorized to perform")
	case lostBefore:
		<-ctx.Done()
		return how, ctx.Err()
	case emptyRequest:
		return how, errors.New("dial tcp: connection refused")
	case crashBefore:
		f.stop()
		return how, errors.New("killed")
	}
	return how, nil
}

// end turns success into what a fault makes of it.
func (f *fakeWAF) end(ctx context.Context, how fault) error {
	switch how {
	case failAfter:
		return &types.WAFInternalErrorException{}
	case lostAfter:
		<-ctx.Done()
		return ctx.Err()
	case crashAfter:
		f.stop()
		return errors.New("killed")
	}
	return nil
}

func (f *fakeWAF) ListIPSets(ctx context.Context, in *wafv2.ListIPSetsInput, _ ...func(*wafv2.Options)) (*wafv2.ListIPSetsOutput, error) {
	if _, err := f.begin(ctx, "ListIPSets"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &wafv2.ListIPSetsOutput{}
	for i, s := range f.sets {
		if s.name <= aws.ToString(in.NextMarker) && in.NextMarker != nil {
			continue
		}
		st := s.view(f)
		out.IPSets = append(out.IPSets, types.IPSetSummary{
			Name: aws.String(s.name), Id: aws.String(s.id), ARN: aws.String(s.arn),
			Description: aws.String(st.desc), LockToken: aws.String(st.token),
		})
		if len(out.IPSets) == f.page && i < len(f.sets)-1 {
			out.NextMarker = aws.String(s.name)
			break
		}
	}
	return out, nil
}

// view is a set as a read sees it, which may be a little while ago.
func (s *fakeSet) view(f *fakeWAF) fakeState {
	if f.stale > 0 && f.rng.IntN(2) == 0 {
		for _, old := range slices.Backward(s.history) {
			if time.Since(s.since) < f.stale && !old.since.IsZero() {
				return old
			}
		}
	}
	return s.fakeState
}

func (f *fakeWAF) named(name, id *string) (*fakeSet, error) {
	for _, s := range f.sets {
		if s.name == aws.ToString(name) && s.id == aws.ToString(id) {
			return s, nil
		}
	}
	return nil, &types.WAFNonexistentItemException{}
}

func (f *fakeWAF) GetIPSet(ctx context.Context, in *wafv2.GetIPSetInput, _ ...func(*wafv2.Options)) (*wafv2.GetIPSetOutput, error) {
	if _, err := f.begin(ctx, "GetIPSet"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.named(in.Name, in.Id)
	if err != nil {
		return nil, err
	}
	st := s.view(f)
	var list []string
	for p := range st.held {
		list = append(list, spell(p))
	}
	slices.Sort(list) // so that a seed gives the same order again
	f.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return &wafv2.GetIPSetOutput{
		LockToken: aws.String(st.token),
		IPSet: &types.IPSet{
			Name: aws.String(s.name), Id: aws.String(s.id), ARN: aws.String(s.arn), Addresses: list,
			IPAddressVersion: s.version, Description: aws.String(st.desc),
		},
	}, nil
}

// spell writes a prefix as AWS does: IPv6 in full.
func spell(p netip.Prefix) string { return fmt.Sprintf("%s/%d", p.Addr().StringExpanded(), p.Bits()) }

func (f *fakeWAF) UpdateIPSet(ctx context.Context, in *wafv2.UpdateIPSetInput, _ ...func(*wafv2.Options)) (*wafv2.UpdateIPSetOutput, error) {
	began := time.Now()
	how, err := f.begin(ctx, "UpdateIPSet")
	if err != nil {
		return nil, err
	}
	if how == landsLate {
		late := time.Duration(f.rng.IntN(9000)) * time.Millisecond
		time.AfterFunc(late, func() { _, _ = f.apply(in, began) })
		<-ctx.Done()
		return nil, ctx.Err()
	}
	token, err := f.apply(in, began)
	if err != nil {
		return nil, err
	}
	return &wafv2.UpdateIPSetOutput{NextLockToken: &token}, f.end(ctx, how)
}

var descriptionForm = regexp.MustCompile(`^[\w+=:#@/\-,\.][\w+=:#@/\-,\.\s]+[\w+=:#@/\-,\.]$`)

func (f *fakeWAF) apply(in *wafv2.UpdateIPSetInput, began time.Time) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.named(in.Name, in.Id)
	if err != nil {
		return "", err
	}
	if in.Addresses == nil || in.Description == nil || !descriptionForm.MatchString(*in.Description) || len(*in.Description) > 256 {
		f.t.Errorf("update of %s: addresses %v, description %q", s.name, in.Addresses != nil, aws.ToString(in.Description))
	}
	held := make(map[netip.Prefix]bool, len(in.Addresses))
	for _, text := range in.Addresses {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Masked() != p || p.Bits() == 0 || p.Addr().Is4() != (s.version == types.IPAddressVersionIpv4) || held[p] {
			f.t.Errorf("update of %s: bad entry %q (twice: %v)", s.name, text, held[p])
		}
		if p == f.poison {
			bad := &types.WAFInvalidParameterException{Field: types.ParameterExceptionFieldIpAddress, Parameter: aws.String(spell(p))}
			if f.nameless {
				bad.Parameter = nil
			}
			return "", bad
		}
		held[p] = true
	}
	if len(held) > setLimit {
		f.t.Errorf("update of %s: %d entries", s.name, len(held))
	}
	if aws.ToString(in.LockToken) != s.token {
		return "", &types.WAFOptimisticLockException{}
	}
	for p := range s.hand {
		if !held[p] {
			f.t.Errorf("%v: %s lost %s, which a person added", time.Now(), s.name, p)
		}
	}
	before := s.held
	s.replace(held, *in.Description)
	f.accepted = append(f.accepted, acceptedWrite{time.Now(), s.name, len(held)})
	if f.check != nil {
		f.check(s, before, began)
	}
	return s.token, nil
}

func (s *fakeSet) replace(held map[netip.Prefix]bool, desc string) {
	s.history = append(s.history, s.fakeState)
	if len(s.history) > 3 {
		s.history = s.history[1:]
	}
	s.tokens++
	s.fakeState = fakeState{time.Now(), fmt.Sprintf("token-%s-%d", s.name, s.tokens), desc, held}
}

// edit is a person at the console, who sees the newest state.
func (f *fakeWAF) edit(name string, add, remove []netip.Prefix, desc *string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.find(name)
	held := make(map[netip.Prefix]bool)
	for p := range s.held {
		held[p] = true
	}
	for _, p := range add {
		if !held[p] {
			s.hand[p] = true
		}
		held[p] = true
	}
	for _, p := range remove {
		f.taken[p] = time.Now()
		delete(held, p)
		delete(s.hand, p)
	}
	if desc == nil {
		desc = &s.desc
	}
	s.replace(held, *desc)
}

// held gives everything in the Writer's sets, and what is in more than one.
func (f *fakeWAF) held() (all map[netip.Prefix]bool, twice []netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all = make(map[netip.Prefix]bool)
	for _, s := range f.sets {
		if !strings.HasPrefix(s.name, "weir-") {
			continue
		}
		for p := range s.held {
			if all[p] {
				twice = append(twice, p)
			}
			all[p] = true
		}
	}
	return all, twice
}

// hands gives what people added.
func (f *fakeWAF) hands() map[netip.Prefix]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make(map[netip.Prefix]bool)
	for _, s := range f.sets {
		for p := range s.hand {
			all[p] = true
		}
	}
	return all
}

// fakeStore is what is in force.
type fakeStore struct {
	mu        sync.Mutex
	bans      map[netip.Prefix]Entry
	allowlist map[netip.Prefix]time.Time // since when; overlap is tested with equality here
	changed   chan struct{}
	accepted  map[netip.Prefix]time.Time
	orphans   []netip.Prefix
	removed   []netip.Prefix
	looks     int
	ended     map[netip.Prefix]time.Time // bans that are over, and since when
}

func newStore() *fakeStore {
	return &fakeStore{
		bans: make(map[netip.Prefix]Entry), allowlist: make(map[netip.Prefix]time.Time),
		changed: make(chan struct{}, 1), accepted: make(map[netip.Prefix]time.Time),
		ended: make(map[netip.Prefix]time.Time),
	}
}

func (s *fakeStore) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// ban puts prefixes in force from now on.
func (s *fakeStore) ban(d time.Duration, list ...netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, p := range list {
		s.bans[p] = Entry{Prefix: p, Action: "block", Until: now.Add(d), Created: now}
	}
	s.signal()
}

func (s *fakeStore) unban(list ...netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range list {
		delete(s.bans, p)
		s.ended[p] = time.Now()
	}
	s.signal()
}

func (s *fakeStore) allow(p netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowlist[p] = time.Now()
	s.signal()
}

func (s *fakeStore) allowed(p netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.allowlist[p].IsZero()
}

func (s *fakeStore) wanted(now time.Time) iter.Seq[Entry] {
	fence.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	list := make([]Entry, 0, len(s.bans))
	for p, e := range s.bans {
		if e.Until.After(now) {
			list = append(list, e)
		} else {
			delete(s.bans, p)
			s.ended[p] = e.Until
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	return slices.Values(list)
}

func (s *fakeStore) config(f *fakeWAF) Config {
	return Config{
		Client: f, Scope: types.ScopeCloudfront, Sets: []string{"weir-"}, Grace: 30 * time.Second,
		Wanted: s.wanted, Changed: s.changed, Allowed: s.allowed,
		Accepted: func(list []netip.Prefix, at time.Time) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, p := range list {
				s.accepted[p] = at
			}
		},
		Orphans: func(_ context.Context, found []Entry) error {
			var held []netip.Prefix
			for _, e := range found {
				held = append(held, e.Prefix)
			}
			s.mu.Lock()
			s.orphans = append(s.orphans, held...)
			s.mu.Unlock()
			s.ban(time.Hour, held...)
			return nil
		},
		Removed: func(list []netip.Prefix, _ time.Time) {
			s.mu.Lock()
			s.removed = append(s.removed, list...)
			s.mu.Unlock()
			s.unban(list...)
		},
	}
}

// running is a Writer at work.
type running struct {
	*Writer
	kill context.CancelFunc
	done chan struct{}
}

func start(t testing.TB, cfg Config) *running {
	t.Helper()
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{w, cancel, make(chan struct{})}
	go func() {
		defer close(r.done)
		_ = w.Run(ctx)
	}()
	return r
}

// halt ends Run, without a last round.
func (r *running) halt() {
	r.kill()
	<-r.done
}

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// v4 and v6 give distinct prefixes by number.
func v4(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + n>>24), byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

func v6(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 64)
}

// apart is v4 without neighbours: no two make up a wider prefix.
func apart(n int) netip.Prefix { return v4(2 * n) }

func numbered(of func(int) netip.Prefix, from, n int) []netip.Prefix {
	list := make([]netip.Prefix, n)
	for i := range list {
		list[i] = of(from + i)
	}
	return list
}

// poolOf is the pool that blocks of p's family go to.
func poolOf(st Status, p netip.Prefix) PoolStatus { return st.Pool("block", familyOf(p).String()) }
