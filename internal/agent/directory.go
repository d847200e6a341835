package agent

import (
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Verdict says whether a client is the crawler that it claims to be.
type Verdict uint8

const (
	Unknown  Verdict = iota // nothing that is known or logged could tell, or not yet
	Genuine                 // it calls from where that crawler calls from
	Impostor                // it does not, and the crawler calls from nowhere else
)

// String returns "unknown", "genuine" or "impostor".
func (v Verdict) String() string { return [...]string{"unknown", "genuine", "impostor"}[v] }

// Config is what a [Directory] is made from. Its zero value knows what was built in, and
// asks nobody: with it a replay gives the same verdicts everywhere.
type Config struct {
	// Resolver answers about the names of addresses. nil = nobody is asked.
	Resolver Resolver
	// Client fetches the lists of publishers, once a day. nil = those built in stay.
	Client Doer

	Logger     *zap.Logger           // nil = none
	Registerer prometheus.Registerer // nil = none
}

// A Directory knows crawlers, and tells who is one. Verify may be called by any number of
// goroutines at a time; it takes no lock. Run does what takes time.
type Directory struct {
	tables  atomic.Pointer[tables] // replaced as a whole, by the goroutine in Run or Refresh
	names   *names                 // nil = the DNS is not asked
	client  Doer
	log     *zap.Logger
	metrics *metrics
}

// New makes a Directory of what is built in. It asks nobody yet.
func New(cfg Config) *Directory {
	built, err := readSnapshot(snapshot)
	if err != nil {
		panic("BUG: the ranges built in: " + err.Error())
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	d := &Directory{client: cfg.Client, log: cfg.Logger, metrics: newMetrics(cfg.Registerer)}
	d.publish(built)
	if cfg.Resolver != nil {
		d.names = newNames(cfg.Resolver, d.metrics)
	}
	return d
}

// publish makes t what Verify looks into.
func (d *Directory) publish(t *tables) {
	d.tables.Store(t)
	for i, p := range publishers {
		if asOf := t[i].asOf; !asOf.IsZero() {
			d.metrics.asOf.WithLabelValues(p.name).Set(float64(asOf.Unix()))
		}
	}
}

// Verify says whether a client at addr, in the network asn (the column as logged; nil =
// not logged), is the crawler that it claims to be.
//
// An Impostor is evidence of a lie and not of an attack: people who look after rankings,
// and some proxies, call themselves Googlebot.
func (d *Directory) Verify(claimed Crawler, addr netip.Addr, asn []byte) Verdict {
	if claimed == 0 || int(claimed) > len(crawlers) {
		return Unknown
	}
	v := d.verify(claimed, addr, asn)
	d.metrics.lookups[claimed-1][v].Inc()
	return v
}

func (d *Directory) verify(claimed Crawler, addr netip.Addr, asn []byte) Verdict {
	c := &evidences[claimed-1]
	t := d.tables.Load()
	listed := false // there is a list that would hold the address of a genuine one
	for _, i := range c.tables {
		l := t[i]
		if l.table.Lookup(addr) {
			return Genuine
		}
		listed = listed || (c.steady || l.fresh) && (addr.Is4() && l.has4 || addr.Is6() && l.has6)
	}
	number, logged := parseASN(asn)
	own := logged && slices.Contains(c.asns, number)
	switch {
	case own && !c.shared:
		return Genuine
	case !own && c.exact && listed,
		!own && c.bound && logged:
		return Impostor
	case d.names != nil && len(c.domains) > 0:
		return d.names.verdict(claimed, addr, time.Now())
	default:
		return Unknown
	}
}

// evidence is what Verify needs of a crawler.
type evidence struct {
	crawler
	tables []int // indices of its lists
}

var evidences = func() []evidence {
	all := make([]evidence, len(crawlers))
	for i, c := range crawlers {
		all[i].crawler = c
		for _, name := range c.lists {
			p := publisherOf(name)
			if p < 0 {
				panic("BUG: nobody publishes " + name)
			}
			all[i].tables = append(all[i].tables, p)
		}
	}
	return all
}()

// parseASN reads the number of a network.
func parseASN(column []byte) (number uint32, ok bool) {
	const most = 10 // digits
	if len(column) > most {
		return 0, false
	}
	var n uint64
	for _, c := range column {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n != 0 && n <= math.MaxUint32
}
