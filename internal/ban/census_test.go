package ban

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The census counts as a plain set of clients does, however windows follow each
// other, as long as the clients are few.
func TestCensusTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := new(census)
		c.begin()
		now := noon
		c.turn(now)
		this, last, before := map[netip.Addr]bool{}, map[netip.Addr]bool{}, 0
		began := now
		draw := func() netip.Addr {
			n := rapid.IntRange(0, 5).Draw(t, "client")
			if rapid.Bool().Draw(t, "v6") {
				return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(n), 0, 0, byte(rapid.IntRange(0, 9).Draw(t, "host"))})
			}
			return visitor(n).Addr()
		}
		client := func(a netip.Addr) netip.Addr {
			if a.Is6() {
				p, _ := a.Prefix(64)
				return p.Addr()
			}
			return a
		}
		t.Repeat(map[string]func(*rapid.T){
			"saw": func(*rapid.T) {
				a := draw()
				c.saw(a)
				this[client(a)] = true
			},
			"turn": func(*rapid.T) {
				now = now.Add(time.Duration(rapid.SampledFrom([]int{-1, 1, 5, 10, 25}).Draw(t, "minutes")) * time.Minute)
				c.turn(now)
				switch age := now.Sub(began); {
				case age < 0 || age >= 2*censusWindow:
					this, last, before, began = map[netip.Addr]bool{}, map[netip.Addr]bool{}, 0, now
				case age >= censusWindow:
					this, last, before, began = map[netip.Addr]bool{}, this, len(this), now
				}
			},
			"": func(*rapid.T) {
				w, back := c.both.Load(), 0
				for a := range this {
					if last[a] {
						back++
					}
				}
				a := draw()
				if got, want := c.cameBack(a), this[client(a)] && last[client(a)]; got != want {
					t.Fatalf("%s came back: %t", a, got)
				}
				if int(w.clients.Load()) != len(this) || int(w.back.Load()) != back || w.before != before {
					t.Fatalf("%d clients, %d back, %d before; want %d, %d, %d", w.clients.Load(), w.back.Load(), w.before, len(this), back, before)
				}
			},
		})
	})
}

// BenchmarkSeen notes requests of clients that were seen before, few and many.
func BenchmarkSeen(b *testing.B) {
	for _, n := range []int{1 << 6, 1 << 12} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			s := testStore(b, Config{}, newMemory())
			clients := randomClients(n, 1)
			i := 0
			for b.Loop() {
				s.Seen(clients[i&(n-1)].Addr())
				i++
			}
		})
	}
}
