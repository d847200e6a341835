package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

var _ Doer = http.DefaultClient

// web answers by URL; what it does not know answers 404.
type web struct {
	mu    sync.Mutex
	pages map[string]string
	asked int
}

func (w *web) Do(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	page, ok := w.pages[req.URL.String()]
	if page == "broken" {
		return nil, errors.New("connection reset")
	}
	res := &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(strings.NewReader(page))}
	if !ok {
		res.StatusCode, res.Status = 404, "404 Not Found"
	}
	return res, nil
}

// times tells how often it was asked.
func (w *web) times() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// everywhere answers for all publishers, with n ranges of IPv4 and of IPv6 each.
func everywhere(n int) *web {
	w := &web{pages: map[string]string{}}
	for i, p := range publishers {
		for j, url := range p.urls {
			var b strings.Builder
			for k := range n {
				fmt.Fprintf(&b, "203.%d.%d.%d\n2a00:%x:%x::%x\n", i, j, k%256, i+1, j, k)
			}
			w.pages[url] = b.String()
		}
	}
	return w
}

func TestRefresh(t *testing.T) {
	w := everywhere(200)
	d := New(Config{Client: w})
	google, gpt := crawlerNamed(t, "Googlebot"), crawlerNamed(t, "GPTBot")
	before, after := netip.MustParseAddr("66.249.66.1"), netip.MustParseAddr("203.0.0.7")
	if got := d.Verify(gpt, before, nil); got != Unknown {
		t.Errorf("by a list built in: %v", got)
	}
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := d.Verify(google, after, nil); got != Genuine {
		t.Errorf("in the new list: %v", got)
	}
	if got := d.Verify(google, before, nil); got != Impostor {
		t.Errorf("no longer in the list: %v", got)
	}
	if got := d.Verify(gpt, before, nil); got != Impostor {
		t.Errorf("by a list just fetched: %v", got)
	}
	list := d.tables.Load()[publisherOf("openai")]
	if want := 3 * 2 * 200; list.count != want {
		t.Errorf("%d ranges of three lists, want %d", list.count, want)
	}
}

// TestRefreshKeeps: an answer that is no list leaves the old one, and is told with the
// publisher's name and the reason.
func TestRefreshKeeps(t *testing.T) {
	url := publishers[publisherOf("googlebot")].urls[0]
	for page, reason := range map[string]string{
		"":                             "no ranges in it",
		"broken":                       "connection reset",
		"404":                          "404 Not Found",
		"<html>":                       "is no range",
		`{"prefixes":[]}`:              "no ranges in it",
		"203.0.113.9":                  "1 ranges after 65",
		"0.0.0.0/0":                    "is no range that",
		strings.Repeat(" ", 5<<20):     "more than 4194304 bytes",
		strings.Repeat("1.1.1.1\n", 1): "1 ranges after 65",
		only4(64):                      "are gone",
	} {
		w := everywhere(200)
		w.pages[url] = page
		if page == "404" {
			delete(w.pages, url)
		}
		d := New(Config{Client: w})
		old := d.tables.Load()[publisherOf("googlebot")]
		err := d.Refresh(t.Context())
		if err == nil || !strings.Contains(err.Error(), "ranges of googlebot: ") || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.20q: %v", page, err)
		}
		if d.tables.Load()[publisherOf("googlebot")] != old {
			t.Errorf("%.20q: the old list is gone", page)
		}
		if !d.tables.Load()[publisherOf("bingbot")].fresh {
			t.Errorf("%.20q: another list did not come", page)
		}
		if n := testutil.ToFloat64(d.metrics.failures.WithLabelValues("googlebot")); n != 1 {
			t.Errorf("%.20q: %v failures counted", page, n)
		}
	}
	if err := New(Config{}).Refresh(t.Context()); err == nil {
		t.Error("refreshed without a client")
	}
}

func only4(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "203.0.113.%d\n", i)
	}
	return b.String()
}

// TestRunRefreshes: once a day, an hour after a failure, and it ends with its context.
func TestRunRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := everywhere(200)
		round := len(w.pages)
		d := New(Config{Client: w})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Run(ctx); close(done) }()

		rounds := func(want int, after time.Duration) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if w.times() != want*round {
				t.Errorf("asked %d times, want %d", w.times(), want*round)
			}
		}
		rounds(1, 10*time.Minute)
		rounds(1, 21*time.Hour)
		rounds(2, 4*time.Hour)
		w.mu.Lock()
		w.pages[publishers[0].urls[0]] = "broken"
		w.mu.Unlock()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		failed := w.times()
		if failed < 3*round {
			t.Errorf("asked %d times", failed)
		}
		time.Sleep(refreshAgain)
		synctest.Wait()
		if w.times() <= failed || w.times() > failed+2*round {
			t.Errorf("asked %d times in an hour after a failure", w.times()-failed)
		}
		cancel()
		<-done
	})
}
