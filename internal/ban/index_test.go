package ban

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gaissmai/bart"
	"pgregory.net/rapid"
)

// A small world makes prefixes meet: a few nested ones of each family.
var world = func() []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/0", "192.0.0.0/16", "192.0.2.0/24", "192.0.2.0/28", "192.0.2.0/30", "192.0.2.0/31", "192.0.2.2/31",
		"192.0.2.0/32", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.16/32", "198.51.100.7/32",
		"2001:db8::/32", "2001:db8::/48", "2001:db8::/64", "2001:db8:0:1::/64", "2001:db8:1::/64", "2001:db8::1/128",
	} {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}()

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func newIndex() *index {
	x := new(index)
	x.load(new(bart.Table[*held]))
	return x
}

func drawDecision(t *rapid.T) *Decision {
	at := rapid.Int64Range(1, 40).Draw(t, "at")
	created := rapid.Int64Range(1, 40).Draw(t, "created")
	return &Decision{
		ID: randomID(), Prefix: rapid.SampledFrom(world).Draw(t, "prefix"),
		At: fromMillis(at), Created: fromMillis(created),
		Until:  fromMillis(created + rapid.Int64Range(1, 20).Draw(t, "lasts")),
		Action: rapid.SampledFrom(Actions()).Draw(t, "action"), Held: rapid.SampledFrom([]Hold{"", "", HeldByAll}).Draw(t, "held"),
	}
}

// The index and a plain slice give the same answers, whatever was put in and
// taken out in between.
func TestIndexTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex()
		var twin []*entry
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				e := newEntry(drawDecision(t))
				e.enforce.Store(rapid.Bool().Draw(t, "enforce"))
				x.add(e)
				twin = append(twin, e)
			},
			"replace": func(t *rapid.T) {
				if len(twin) == 0 {
					t.Skip("nothing there")
				}
				i := rapid.IntRange(0, len(twin)-1).Draw(t, "which")
				d := *twin[i].d
				d.Until = fromMillis(rapid.Int64Range(1, 40).Draw(t, "until"))
				e := newEntry(&d)
				x.replace(twin[i], e)
				twin[i] = e
			},
			"clear": func(t *rapid.T) {
				p := rapid.SampledFrom(world).Draw(t, "prefix")
				x.set(p, nil)
				twin = slices.DeleteFunc(twin, func(e *entry) bool { return e.d.Prefix == p })
			},
			"": func(t *rapid.T) {
				client := rapid.SampledFrom(world).Draw(t, "client")
				at := rapid.Int64Range(0, 70).Draw(t, "time")
				for least, actions := range map[effect][]Action{stops: {Block}, asks: {Block, Captcha, Challenge}} {
					want := slices.ContainsFunc(twin, func(e *entry) bool {
						return contains(e.d.Prefix, client) && min(millis(e.d.At), millis(e.d.Created)) <= at && at < millis(e.d.Until) &&
							e.d.Held == "" && slices.Contains(actions, e.d.Action)
					})
					if got := x.covers(client, at, least); got != want {
						t.Fatalf("covers(%s, %d, %d) = %t, want %t", client, at, least, got, want)
					}
				}
				if got, want := x.covered(client, at, new(listed)), coveredTwin(twin, client, at); got != want {
					t.Fatalf("covered(%s, %d) = %t, want %t", client, at, got, want)
				}
			},
		})
	})
}

// TestBlocks: no client that the table has something about is missed, whatever came and
// went; of others few are asked for, and none any more when all is over.
func TestBlocks(t *testing.T) {
	x := newIndex()
	clients := randomClients(20_000, 1)
	others := randomClients(20_000, 2)
	for i := range clients { // some networks
		if i%100 == 0 {
			clients[i] = netip.PrefixFrom(clients[i].Addr(), clients[i].Bits()-10-i/100%7).Masked()
		}
	}
	asked := func() (n int) {
		for _, c := range others {
			if x.blocks.Load().has(c.Addr()) {
				n++
			}
		}
		return n
	}
	entries := []*entry{newEntry(&Decision{})}
	for i, c := range clients {
		x.set(c, entries)
		if i%3 == 0 {
			x.set(clients[i/2], nil)
			x.set(clients[i/2], entries)
		}
	}
	for _, c := range clients {
		within := c.Addr()
		if !c.IsSingleIP() {
			_, high := halves(c)
			within = high.Addr()
		}
		if b := x.blocks.Load(); !b.has(c.Addr()) || !b.has(within) {
			t.Fatalf("%v is missed", c)
		}
	}
	if n := asked(); n > len(others)/8 {
		t.Errorf("%d of %d clients without a decision are asked for", n, len(others))
	}
	x.set(netip.MustParsePrefix("0.0.0.0/0"), entries)
	if n := asked(); n < len(others) {
		t.Errorf("under a decision about all, %d of %d clients are asked for", n, len(others))
	}
	x.set(netip.MustParsePrefix("0.0.0.0/0"), nil)
	if n := asked(); n > len(others)/8 {
		t.Errorf("%d of %d clients are asked for when that is over", n, len(others))
	}
	for _, c := range clients {
		x.set(c, nil)
	}
	if n := asked(); n > len(others)/50 {
		t.Errorf("when all decisions are over, %d of %d clients are asked for", n, len(others))
	}
}

// coveredTwin looks at every address that a prefix of the world could tell from
// its neighbours.
func coveredTwin(twin []*entry, p netip.Prefix, now int64) bool {
	live := func(within netip.Prefix) bool {
		return slices.ContainsFunc(twin, func(e *entry) bool {
			return e.enforce.Load() && e.d.Held == "" && millis(e.d.Until) > now && contains(e.d.Prefix, within)
		})
	}
	if live(p) {
		return true
	}
	if !slices.ContainsFunc(twin, func(e *entry) bool { return e.d.Prefix != p && contains(p, e.d.Prefix) }) {
		return false
	}
	low, high := halves(p)
	return coveredTwin(twin, low, now) && coveredTwin(twin, high, now)
}

func TestHalves(t *testing.T) {
	for _, c := range [][3]string{
		{"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"},
		{"192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25"},
		{"192.0.2.2/31", "192.0.2.2/32", "192.0.2.3/32"},
		{"2001:db8::/63", "2001:db8::/64", "2001:db8:0:1::/64"},
		{"::/0", "::/1", "8000::/1"},
	} {
		low, high := halves(netip.MustParsePrefix(c[0]))
		if low.String() != c[1] || high.String() != c[2] {
			t.Errorf("halves(%s) = %s, %s, want %s, %s", c[0], low, high, c[1], c[2])
		}
	}
}

// A /64 in which one /128 is banned, under a wider entry that is over, is not
// searched address by address.
func TestCoveredIsBounded(t *testing.T) {
	x := newIndex()
	now := fromMillis(100)
	for _, s := range []string{"2001:db8::/32", "2001:db8::/128"} {
		e := newEntry(&Decision{ID: s, Prefix: netip.MustParsePrefix(s), At: now, Created: now, Until: now.Add(time.Second)})
		e.enforce.Store(s == "2001:db8::/128")
		x.add(e)
	}
	if x.covered(netip.MustParsePrefix("2001:db8::/64"), 200, new(listed)) {
		t.Error("one address covers a /64")
	}
	if !x.covered(netip.MustParsePrefix("2001:db8::/128"), 200, new(listed)) {
		t.Error("an address with a ban of its own is not covered")
	}
}
