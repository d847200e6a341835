package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

var _ Resolver = net.DefaultResolver

// dns answers from tables.
type dns struct {
	mu    sync.Mutex
	names map[string][]string
	addrs map[string][]netip.Addr
	down  bool
	asked int
}

// times tells how often it was asked for a name.
func (d *dns) times() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *dns) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.down {
		return nil, &net.DNSError{Err: "timeout", IsTimeout: true}
	}
	if n, ok := d.names[addr]; ok {
		return n, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (d *dns) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, ok := d.addrs[host]; ok {
		return a, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func TestNames(t *testing.T) {
	addr := netip.MustParseAddr
	synctest.Test(t, func(t *testing.T) {
		r := &dns{
			names: map[string][]string{
				"192.0.2.1": {"other.example.", "BaiduSpider-1.crawl.baidu.com."},
				"192.0.2.2": {"baiduspider-2.crawl.baidu.com."}, // it says so, but Baidu does not
				"192.0.2.3": {"crawl.notbaidu.com."},
				"192.0.2.4": {"spider.baidu.com.evil.example."},
			},
			addrs: map[string][]netip.Addr{
				"baiduspider-1.crawl.baidu.com": {addr("::ffff:192.0.2.1")},
				"baiduspider-2.crawl.baidu.com": {addr("198.51.100.1")},
				"crawl.notbaidu.com":            {addr("192.0.2.3")},
				"spider.baidu.com.evil.example": {addr("192.0.2.4")},
			},
		}
		d := New(Config{Resolver: r})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		baidu := crawlerNamed(t, "Baiduspider")
		check := func(at string, want Verdict) {
			t.Helper()
			if got := d.Verify(baidu, addr(at), nil); got != want {
				t.Errorf("%s: %v, want %v", at, got, want)
			}
			synctest.Wait()
		}
		for at, want := range map[string]Verdict{
			"192.0.2.1": Genuine, "192.0.2.2": Impostor, "192.0.2.3": Impostor, "192.0.2.4": Impostor, "2001:db8::1": Impostor,
		} {
			check(at, Unknown)
			check(at, want)
		}
		asked := r.times()
		check("192.0.2.1", Genuine)
		if r.times() != asked {
			t.Error("asked again")
		}
		time.Sleep(time.Hour)
		check("192.0.2.2", Unknown) // forgotten
		check("192.0.2.2", Impostor)
		time.Sleep(23 * time.Hour)
		check("192.0.2.1", Genuine) // forgotten, but kept while it is asked
		if r.times() != asked+2 {
			t.Errorf("asked %d times", r.times()-asked)
		}

		r.mu.Lock()
		r.down = true
		r.mu.Unlock()
		check("192.0.2.9", Unknown)
		check("192.0.2.9", Unknown)
		r.mu.Lock()
		r.down = false
		r.mu.Unlock()
		time.Sleep(unknownFor)
		check("192.0.2.9", Unknown)
		check("192.0.2.9", Impostor)

		if got := d.Verify(crawlerNamed(t, "Googlebot"), addr("192.0.2.1"), nil); got != Impostor {
			t.Errorf("what a list settles: %v", got)
		}
		counts := fmt.Sprint(testutil.ToFloat64(d.metrics.dns[dnsConfirmed]), testutil.ToFloat64(d.metrics.dns[dnsRefuted]), testutil.ToFloat64(d.metrics.dns[dnsFailed]))
		if counts != "2 6 1" {
			t.Errorf("counted %s", counts)
		}
	})
}

// TestNamesDrop: what does not fit into the queue is dropped and counted, and can be asked
// for later. Nobody answers here.
func TestNamesDrop(t *testing.T) {
	d := New(Config{Resolver: &dns{}})
	baidu := crawlerNamed(t, "Baiduspider")
	const clients = 4 * nameQueue
	for i := range clients {
		addr := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		for range 2 { // the second time it waits already, unless another took its mark
			if got := d.Verify(baidu, addr, nil); got != Unknown {
				t.Fatal(got)
			}
		}
	}
	if n := len(d.names.queue); n != nameQueue {
		t.Errorf("%d wait", n)
	}
	if n := testutil.ToFloat64(d.metrics.dns[dnsDropped]); n < clients-nameQueue {
		t.Errorf("%v dropped", n)
	}
	if n := testing.AllocsPerRun(100, func() { d.Verify(baidu, netip.MustParseAddr("192.0.2.1"), nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
