package detect

import (
	"encoding/binary"
	"flag"
	"net/netip"
	"testing"
	"time"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

var floodClients = flag.Int("flood", 400_000, "clients of the flood in TestFloodOfOnce; it lasts 50 s of event time")

// always hits the first scenario with each record, and counts a path once.
type always struct{}

func (always) Interpreted() (runs, failed uint64) { return 0, 0 }

func (a always) Match(r *cloudfront.Record, hits []scenario.Hit) []scenario.Hit {
	return append(hits, scenario.Hit{Weight: scenario.WholeEvent, Distinct: max(1, uint32(r.Time))})
}

// TestFloodOfOnce floods the engine with clients that come once, with room for half of
// those whose buckets live, and looks whether it finds the attackers among them: some
// that come each second, and some that come each third, so that they need 15 requests
// and 45 seconds to overflow.
func TestFloodOfOnce(t *testing.T) {
	const seconds, attackers = 50, 1000
	clients := *floodClients
	slots := clients / 2
	memory := int64(slots) * setBytes / ways * 2
	found := map[netip.Prefix]bool{}
	rules := fake{{Name: "probing", Capacity: 10, Leak: 10 * time.Second, Blackhole: time.Hour}}
	e, reg := rules.startWith(t, always{}, nil, Config{Shards: 2, Memory: memory, Alert: func(a Alert) { found[a.Client] = true }})

	template := parse(t, visit{id: "-"})[0] // no id: no duplicates
	records := make([]cloudfront.Record, 0, 4096)
	add := func(client uint32, at time.Duration) {
		if len(records) == cap(records) {
			e.Process(records)
			records = records[:0]
		}
		r := template
		r.Time = ms(at)
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], client)
		r.Addr = netip.AddrFrom4(a)
		records = append(records, r)
	}
	perSecond := clients / seconds
	pause := max(1, perSecond/attackers)
	for n := range clients {
		second := n / perSecond
		at := time.Duration(n) * seconds * time.Second / time.Duration(clients)
		add(1<<30+uint32(n), at)
		if n%pause == 0 && n%perSecond/pause < attackers {
			attacker := n % perSecond / pause
			if attacker%2 == 0 || second%3 == attacker%3 {
				add(uint32(attacker), at)
			}
		}
	}
	e.Process(records)

	others := 0
	for p := range found {
		if a := p.Addr().As4(); binary.BigEndian.Uint32(a[:]) >= attackers {
			others++
		}
	}
	if others > 0 || len(found) < attackers*99/100 {
		t.Errorf("%d of %d attackers found, and %d others", len(found)-others, attackers, others)
	}
	evicted := counted(t, reg, "detect_evictions_total")["bucket"]
	live := counted(t, reg, "detect_buckets")[""]
	if evicted < clients-slots || live > slots {
		t.Errorf("%d buckets live in room for %d, and %d evicted of %d", live, slots, evicted, clients)
	}
	t.Logf("%d clients, memory %d MiB: %d of %d attackers, %d evicted, %d live", clients, memory>>20, len(found), attackers, evicted, live)
}
