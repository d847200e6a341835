// Package detect turns records into alerts: it keeps a leaky bucket for every
// client and scenario that meet, and calls out when one runs over.
//
// One rule holds it together: every bucket has one owner. The goroutine that
// calls Process matches the records and deals them, in batches, to shards by
// client; a shard's goroutine alone reads and writes the state of its clients.
// So nothing on the way of a record needs a lock, and the records of one call
// are poured in their order.
//
// Time is the record's own. Nothing here reads a clock, so an incident that is
// replayed from a file raises the alerts that it raised live.
package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// Limits of Config.
const (
	DefaultMemory = 512 << 20 // bytes
	MaxShards     = 256

	// minShardMemory is the least budget of a shard in bytes: below it a table
	// holds too few buckets to tell one client from the next.
	minShardMemory = 256 << 10
)

// Config says how an Engine is built.
type Config struct {
	// Shards is the number of goroutines that own buckets, 1 to MaxShards.
	// 0 takes one for each CPU that Go may use.
	Shards int

	// Memory is the budget in bytes for all state: half of it holds buckets, a
	// quarter the values that scenarios count only once, an eighth the request
	// ids that reveal duplicates, and an eighth the sample requests of alerts.
	// It is reserved by New and never grows, and lies outside of Go's heap: its
	// pages come into being as they are first used, so that a quiet service stays
	// small. 0 takes DefaultMemory; the least is 256 KiB for each shard.
	Memory int64

	// Alert is called for every overflow, on the goroutine of the shard that
	// owns the client. Whoever decides on a ban must have done so when it
	// returns, as the client's next record is checked against Banned. It must
	// not block, and it must not call Process.
	Alert func(Alert)

	// Banned reports whether a ban in force covers this client at this event
	// time in Unix milliseconds. Records of which it says so are not poured: a
	// client must not be kept out by what the WAF answers it. It is called by
	// all shards at once. Nil means that nobody is banned.
	Banned func(client netip.Prefix, at int64) bool

	Registerer prometheus.Registerer // required
}

// Engine holds the buckets of all clients.
type Engine struct {
	set     *scenario.Set
	shards  []*shard
	seed    maphash.Seed
	metrics *metrics
	idle    chan *dealer // dealers that no Process holds
	owners  sync.WaitGroup
}

// New starts the goroutines of an Engine that pours what the set matches. Close
// ends them.
func New(set *scenario.Set, cfg Config) (*Engine, error) {
	if cfg.Shards == 0 {
		cfg.Shards = min(runtime.GOMAXPROCS(0), MaxShards)
	}
	if cfg.Memory == 0 {
		cfg.Memory = DefaultMemory
	}
	if err := check(set, cfg); err != nil {
		return nil, fmt.Errorf("build the detection engine: %w", err)
	}
	e := &Engine{
		set:     set,
		seed:    maphash.MakeSeed(),
		metrics: newMetrics(cfg.Registerer, scenarioNames(set)),
		idle:    make(chan *dealer, maxIdleDealers),
	}
	limits := newLimits(set)
	for range cfg.Shards {
		s, err := newShard(set, limits, cfg, e.metrics)
		e.shards = append(e.shards, s)
		if err != nil {
			for _, s := range e.shards {
				s.memory.free()
			}
			return nil, fmt.Errorf("build the detection engine: %w", err)
		}
	}
	for _, s := range e.shards {
		e.owners.Go(s.run)
	}
	return e, nil
}

func check(set *scenario.Set, cfg Config) error {
	var errs []error
	if set == nil {
		errs = append(errs, errors.New("there is no scenario set"))
	}
	if cfg.Shards < 1 || cfg.Shards > MaxShards {
		errs = append(errs, fmt.Errorf("%d shards: allowed are 1 to %d", cfg.Shards, MaxShards))
	} else if least := int64(cfg.Shards) * minShardMemory; cfg.Memory < least {
		errs = append(errs, fmt.Errorf("%d bytes of memory: %d shards need %d or more", cfg.Memory, cfg.Shards, least))
	}
	if cfg.Alert == nil {
		errs = append(errs, errors.New("nobody takes the alerts"))
	}
	if cfg.Registerer == nil {
		errs = append(errs, errors.New("there is no registerer for the metrics"))
	}
	return errors.Join(errs...)
}

func scenarioNames(set *scenario.Set) []string {
	names := make([]string, set.Len())
	for i := range names {
		names[i] = set.At(i).Name
	}
	return names
}

// Process pours the records in their order and returns when all are poured. It
// keeps no slice of them. Any number of goroutines may call it at once.
func (e *Engine) Process(records []cloudfront.Record) {
	if len(records) == 0 {
		return
	}
	var d *dealer
	select {
	case d = <-e.idle:
	default:
		d = newDealer(e)
	}
	d.deal(records)
	select {
	case e.idle <- d:
	default: // enough of them are kept
	}
}

// Close ends the shards. Every Process must have returned.
func (e *Engine) Close() {
	for _, s := range e.shards {
		close(s.in)
	}
	e.owners.Wait()
}

// A key is whom a bucket counts: a prefix as two integers and its length, so
// that tables of it hold no pointers. IPv4 is kept in its IPv6-mapped form, which
// no other record uses: the parser unmaps addresses.
type key struct {
	hi, lo uint64
	bits   uint8 // of the prefix in its own family
}

const mappedIPv4 = 0xffff // the upper half of lo in an IPv6-mapped IPv4 address

func keyOf(p netip.Prefix) key {
	a := p.Addr().As16()
	return key{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:]), uint8(p.Bits())}
}

// prefix is the inverse of keyOf.
func (k key) prefix() netip.Prefix {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], k.hi)
	binary.BigEndian.PutUint64(a[8:], k.lo)
	addr := netip.AddrFrom16(a)
	if k.hi == 0 && k.lo>>32 == mappedIPv4 {
		addr = addr.Unmap()
	}
	return netip.PrefixFrom(addr, int(k.bits))
}

// hash spreads keys over shards and sets. Its seed is the process's own, so that
// nobody can choose addresses that collide.
func (k key) hash(seed maphash.Seed) uint64 {
	var b [17]byte
	binary.LittleEndian.PutUint64(b[:8], k.hi)
	binary.LittleEndian.PutUint64(b[8:16], k.lo)
	b[16] = k.bits
	return maphash.Bytes(seed, b[:])
}

// scale maps 32 random bits evenly onto 0 to n-1 without a division.
func scale(random uint32, n int) int {
	return int(uint64(random) * uint64(n) >> 32)
}
