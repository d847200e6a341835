package ban

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// randomClients draws clients, a third of them IPv6.
func randomClients(n int, seed uint64) []netip.Prefix {
	r := rand.New(rand.NewPCG(seed, 0))
	ps := make([]netip.Prefix, n)
	for i := range ps {
		if r.IntN(3) > 0 {
			ps[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}), 32)
			continue
		}
		a := [16]byte{0x20, 0x01}
		for i := 2; i < 8; i++ {
			a[i] = byte(r.Uint32())
		}
		ps[i] = netip.PrefixFrom(netip.AddrFrom16(a), 64)
	}
	return ps
}

// BenchmarkBanned looks up clients that no decision is about, many different ones
// and a few again and again, and clients that are banned. The number of clients
// looked up is a power of two.
func BenchmarkBanned(b *testing.B) {
	now := time.Now()
	others := randomClients(4096, 2)
	for _, n := range []int{0, 1_000, 200_000} {
		clients := randomClients(max(n, 4096), 1)
		s := testStore(b, Config{}, newMemory())
		for _, p := range clients[:n] {
			s.Alert(alert(p.String(), now))
		}
		at := now.UnixMilli()
		lookUp := func(ps []netip.Prefix) func(*testing.B) {
			return func(b *testing.B) {
				i := 0
				for b.Loop() {
					s.Banned(ps[i&(len(ps)-1)], at)
					i++
				}
			}
		}
		b.Run(fmt.Sprintf("bans=%d/other", n), lookUp(others))
		b.Run(fmt.Sprintf("bans=%d/few-others", n), lookUp(others[:64]))
		if n > 0 {
			b.Run(fmt.Sprintf("bans=%d/banned", n), lookUp(clients[:512]))
		}
	}
}

func BenchmarkInForce(b *testing.B) {
	s := testStore(b, Config{}, newMemory())
	for _, p := range randomClients(200_000, 1) {
		s.Alert(alert(p.String(), time.Now()))
	}
	mustCommit(b, s)
	n := 0
	for b.Loop() {
		for range s.InForce(time.Now()) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/decision")
}

// BenchmarkAlertAndCommit is what decisions cost that are stored in bursts.
func BenchmarkAlertAndCommit(b *testing.B) {
	for _, burst := range []int{1, 100} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			s := openTest(b, b.TempDir(), Config{})
			clients := randomClients(1<<20, 3)
			i := 0
			for b.Loop() {
				for range burst {
					s.Alert(alert(clients[i%len(clients)].String(), time.Now().Add(time.Duration(i))))
					i++
				}
				mustCommit(b, s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(i), "ns/decision")
		})
	}
}
