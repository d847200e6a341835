package agent

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Resolver asks the DNS, as [net.Resolver] does.
type Resolver interface {
	// LookupAddr returns the names of an address.
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
	// LookupNetIP returns the addresses of a name; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	nameSlots   = 8192 // verdicts kept: a power of two
	nameQueue   = 1024 // questions waiting: a power of two
	nameWorkers = 4
	nameTimeout = 5 * time.Second // for a whole question
	mostNames   = 8               // of an address that are looked at

	genuineFor  = 24 * time.Hour
	impostorFor = time.Hour
	unknownFor  = 5 * time.Minute // when the DNS did not answer

	genuineGrace = time.Hour // for asking again
)

// names remembers what the DNS says of alleged crawlers. Reading takes no lock; asking is
// done by the goroutines of run, of a queue that drops what does not fit.
type names struct {
	resolver Resolver
	metrics  *metrics
	seed     maphash.Seed                           // of this process: verdicts are its own
	slots    [nameSlots]atomic.Pointer[nameVerdict] // by hash; another with the same place gives way
	asked    [nameQueue]atomic.Uint64               // by hash: hashes of questions that wait; 0 = none
	queue    chan question
}

// A question is whether a client is a crawler.
type question struct {
	claimed Crawler
	addr    netip.Addr
}

// A nameVerdict is an answer, and until when it is good. It is immutable.
type nameVerdict struct {
	question
	verdict Verdict
	until   time.Time
}

func newNames(r Resolver, m *metrics) *names {
	return &names{resolver: r, metrics: m, seed: maphash.MakeSeed(), queue: make(chan question, nameQueue)}
}

func (n *names) hash(q question) uint64 {
	var key [17]byte
	addr := q.addr.As16()
	copy(key[:], addr[:])
	key[16] = byte(q.claimed)
	return max(1, maphash.Bytes(n.seed, key[:]))
}

// verdict returns what is known of a client. When nothing is, it has the DNS asked and
// returns Unknown.
func (n *names) verdict(claimed Crawler, addr netip.Addr, now time.Time) Verdict {
	q := question{claimed, addr}
	hash := n.hash(q)
	before := Unknown
	if v := n.slots[hash%nameSlots].Load(); v != nil && v.question == q {
		if now.Before(v.until) {
			return v.verdict
		}
		if v.verdict == Genuine && now.Before(v.until.Add(genuineGrace)) {
			before = Genuine // while it is asked again
		}
	}
	// A worker clears the mark when it has answered: so it is set before the question goes.
	waits := &n.asked[hash%nameQueue]
	if waits.Swap(hash) == hash {
		return before
	}
	select {
	case n.queue <- q:
	default:
		waits.CompareAndSwap(hash, 0)
		n.metrics.dns[dnsDropped].Inc()
	}
	return before
}

// run answers questions until ctx ends.
func (n *names) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range nameWorkers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case q := <-n.queue:
					n.answer(ctx, q)
				}
			}
		})
	}
	workers.Wait()
}

func (n *names) answer(ctx context.Context, q question) {
	hash := n.hash(q)
	defer n.asked[hash%nameQueue].CompareAndSwap(hash, 0)
	slot := &n.slots[hash%nameSlots]
	if v := slot.Load(); v != nil && v.question == q && time.Now().Before(v.until) {
		return // was asked twice
	}
	outcome := n.ask(ctx, q)
	if ctx.Err() != nil {
		return
	}
	n.metrics.dns[outcome].Inc()
	v := &nameVerdict{question: q}
	now := time.Now()
	switch outcome {
	case dnsConfirmed:
		v.verdict, v.until = Genuine, now.Add(genuineFor)
	case dnsRefuted:
		v.verdict, v.until = Impostor, now.Add(impostorFor)
	default:
		v.verdict, v.until = Unknown, now.Add(unknownFor)
	}
	slot.Store(v)
}

// ask looks for a name of the address that is in the crawler's domains, and then whether
// that name has the address: anybody can give his address any name, but only the owner of
// a name can give it an address.
func (n *names) ask(ctx context.Context, q question) dnsOutcome {
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	list, err := n.resolver.LookupAddr(ctx, q.addr.String())
	if err != nil {
		return refutedOr(err)
	}
	outcome := dnsRefuted
	for _, name := range list[:min(len(list), mostNames)] {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if !slices.ContainsFunc(crawlers[q.claimed-1].domains, func(domain string) bool { return inDomain(name, domain) }) {
			continue
		}
		addrs, err := n.resolver.LookupNetIP(ctx, "ip", name)
		switch {
		case err != nil:
			outcome = refutedOr(err)
		case slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == q.addr }):
			return dnsConfirmed
		}
	}
	return outcome
}

// refutedOr tells "there is none" from "no answer".
func refutedOr(err error) dnsOutcome {
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return dnsRefuted
	}
	return dnsFailed
}

func inDomain(name, domain string) bool {
	return strings.HasSuffix(name, domain) && (len(name) == len(domain) || name[len(name)-len(domain)-1] == '.')
}
