package filter

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"weir/internal/cloudfront"
)

func hubSet(tb testing.TB) *Set {
	filters, values := hubSources(tb)
	s, err := Compile(filters, values, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// typical are records as a shop's visitors make them.
func typical(tb testing.TB, n int) []*cloudfront.Record {
	rnd := rand.New(rand.NewPCG(1, 2))
	var list []*cloudfront.Record
	for range n {
		h := hit{
			stem:   fmt.Sprintf("/shop/category-%d/product-%d.html", rnd.IntN(20), rnd.IntN(200)),
			agent:  fmt.Sprintf("Mozilla/5.0%%20(Windows%%20NT%%2010.0;%%20Win64;%%20x64)%%20AppleWebKit/537.36%%20(KHTML,%%20like%%20Gecko)%%20Chrome/%d.0.0.0%%20Safari/537.36", 60+rnd.IntN(60)),
			method: "GET", host: "www.example.com",
		}
		switch rnd.IntN(10) {
		case 0, 1, 2:
			h.stem = fmt.Sprintf("/assets/js/chunk-%d.min.js", rnd.IntN(300))
		case 3:
			h.query = fmt.Sprintf("page=%d&sort=price", rnd.IntN(50))
		case 4:
			h.query, h.method = fmt.Sprintf("q=blue%%2520shoes&id=%d", rnd.IntN(400)), "POST"
		case 5:
			h.status = "404"
		}
		if rnd.IntN(2) == 0 {
			h.referer = fmt.Sprintf("https://www.example.com/shop/category-%d/", rnd.IntN(20))
		}
		list = append(list, h.record(tb.(fataler)))
	}
	return list
}

// cpu reports the CPU time of the process for each run: on a busy machine wall time
// says little.
func cpu(b *testing.B) func() {
	var from, to syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &from); err != nil {
		b.Fatal(err)
	}
	return func() {
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &to); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(to.Utime.Nano()-from.Utime.Nano())/float64(b.N), "cpu-ns/op")
	}
}

// BenchmarkYardstick is what the rest is to be compared with: one call for each tab of a
// line of 43 columns.
func BenchmarkYardstick(b *testing.B) {
	line := bytes.Repeat([]byte("some-column-14\t"), 43)
	defer cpu(b)()
	for b.Loop() {
		for rest := line; len(rest) > 0; {
			i := bytes.IndexByte(rest, '\t')
			if i < 0 {
				break
			}
			rest = rest[i+1:]
		}
	}
}

func BenchmarkHubTypical(b *testing.B) {
	s := hubSet(b)
	m := s.NewMatcher()
	records := typical(b, 1024)
	var facts Facts
	for _, r := range records {
		m.Match(r, &facts)
	}
	b.ReportAllocs()
	i := 0
	defer cpu(b)()
	for b.Loop() {
		m.Match(records[i&1023], &facts)
		i++
	}
}

func hostile(tb testing.TB, kind string, n int) []*cloudfront.Record {
	rnd := rand.New(rand.NewPCG(1, 2))
	var list []*cloudfront.Record
	for i := range n {
		var b strings.Builder
		for b.Len() < 8000 {
			switch kind {
			case "random":
				b.WriteByte("abcdefghijklmnopqrstuvwxyz/-.&=0123456789"[rnd.IntN(41)])
			case "escapes":
				fmt.Fprintf(&b, "%%25%02x", rnd.IntN(256))
			case "needles":
				b.WriteString([]string{"/wp-", "%2524%257B", "/admin", "../", "<a", "/sap/bc/"}[rnd.IntN(6)])
			case "wide":
				b.WriteString("%C3%A9x")
			}
		}
		h := hit{stem: "/x" + fmt.Sprint(i), query: b.String(), agent: "a", method: "GET", status: "404"}
		if i%2 == 0 {
			h.stem, h.query = "/"+b.String(), ""
		}
		list = append(list, h.record(tb.(fataler)))
	}
	return list
}

func BenchmarkHubHostile(b *testing.B) {
	s := hubSet(b)
	for _, kind := range []string{"random", "escapes", "needles", "wide"} {
		b.Run(kind, func(b *testing.B) {
			m := s.NewMatcher()
			records := hostile(b, kind, 64)
			var facts Facts
			i := 0
			defer cpu(b)()
			for b.Loop() {
				if i&63 == 0 { // nothing is remembered
					clear(m.stems.slots)
					clear(m.queries.slots)
					clear(m.wholes.slots)
				}
				m.Match(records[i&63], &facts)
				i++
			}
		})
	}
}

// BenchmarkHubMisses is of records of the usual length of which nothing was seen before.
func BenchmarkHubMisses(b *testing.B) {
	s := hubSet(b)
	m := s.NewMatcher()
	records := typical(b, 1024)
	var facts Facts
	i := 0
	defer cpu(b)()
	for b.Loop() {
		if i&1023 == 0 {
			clear(m.stems.slots)
			clear(m.queries.slots)
			clear(m.wholes.slots)
			for _, c := range m.columns {
				clear(c.cache.slots)
			}
		}
		m.Match(records[i&1023], &facts)
		i++
	}
}

// BenchmarkNewCombinations is of records whose columns were seen before, but not
// together with these facts.
func BenchmarkNewCombinations(b *testing.B) {
	filters, values := hubSources(b)
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprintf("weir.f%d", i))
	}
	for i := range 60 {
		filters = append(filters, Source{Text: fmt.Sprintf("weir.f%d && !weir.f%d && (weir.f%d || weir.f%d)", i, (i*7+1)%64, (i*5+2)%64, (i*3+3)%64)})
	}
	s, err := Compile(filters, values, Options{Facts: names})
	if err != nil {
		b.Fatal(err)
	}
	m := s.NewMatcher()
	r := typical(b, 1)[0]
	rnd := rand.New(rand.NewPCG(1, 2))
	defer cpu(b)()
	for b.Loop() {
		facts := Facts{rnd.Uint64() & rnd.Uint64()}
		m.Match(r, &facts)
	}
}
