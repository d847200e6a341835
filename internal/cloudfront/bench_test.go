package cloudfront

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// tabLoop is the yardstick: what it costs to find every tab of a line one by one.
// Speeds are told as ratios to it, since they move with the machine and it moves along.
func tabLoop(line []byte) (tabs int) {
	for {
		i := bytes.IndexByte(line, '\t')
		if i < 0 {
			return tabs
		}
		tabs++
		line = line[i+1:]
	}
}

// benchLogs are made lines, and as many labelled ones where they are at hand.
func benchLogs(b *testing.B, f func(b *testing.B, l log)) {
	const lines = 4000 // more than a branch predictor learns by heart
	b.Run("made", func(b *testing.B) { f(b, pack(madeLines(b, lines))) })
	b.Run("labelled", func(b *testing.B) {
		l := labelledLog(b)
		l.lines = l.lines[5000 : 5000+lines]
		f(b, pack(l))
	})
}

// pack puts the lines behind one another, as they lie in a batch.
func pack(l log) log {
	buf := bytes.Join(l.lines, []byte{'\n'})
	l.lines = slices.Collect(bytes.SplitSeq(buf, []byte{'\n'}))
	return l
}

func perLine(b *testing.B, l log) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(l.lines)), "ns/line")
}

func BenchmarkTabLoop(b *testing.B) {
	benchLogs(b, func(b *testing.B, l log) {
		for b.Loop() {
			for _, line := range l.lines {
				if tabLoop(line) != len(l.format.fields)-1 {
					b.Fatal("not a record")
				}
			}
		}
		perLine(b, l)
	})
}

func BenchmarkParse(b *testing.B) {
	benchLogs(b, func(b *testing.B, l log) {
		b.ReportAllocs()
		var r Record
		for b.Loop() {
			for _, line := range l.lines {
				if err := l.format.Parse(&r, line); err != nil {
					b.Fatal(err)
				}
			}
		}
		perLine(b, l)
	})
}

// BenchmarkParseToTabLoop prints the ratio of the two. It measures them in turns, so
// that what else the machine does meets both, and takes each one's best.
func BenchmarkParseToTabLoop(b *testing.B) {
	benchLogs(b, func(b *testing.B, l log) {
		var r Record
		loop, parse := time.Hour, time.Hour
		for b.Loop() {
			start := time.Now()
			for _, line := range l.lines {
				tabLoop(line)
			}
			middle := time.Now()
			for _, line := range l.lines {
				_ = l.format.Parse(&r, line)
			}
			loop, parse = min(loop, middle.Sub(start)), min(parse, time.Since(middle))
		}
		b.ReportMetric(float64(parse)/float64(loop), "parse/T")
		b.ReportMetric(float64(loop.Nanoseconds())/float64(len(l.lines)), "T-ns/line")
		b.ReportMetric(float64(parse.Nanoseconds())/float64(len(l.lines)), "parse-ns/line")
	})
}

func BenchmarkParseAddr(b *testing.B) {
	l := madeLines(b, 1000)
	var addrs [][]byte
	for _, line := range l.lines {
		addrs = append(addrs, bytes.Split(line, []byte{'\t'})[1])
	}
	for b.Loop() {
		for _, addr := range addrs {
			if _, ok := parseAddr(addr); !ok {
				b.Fatal("not an address")
			}
		}
	}
	perLine(b, l)
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"plain path", "/products/123456/index.html"},
		{"user agent", "Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)%20AppleWebKit/537.36%20(KHTML,%20like%20Gecko)%20Chrome/145.0.0.0%20Safari/537.36"},
		{"attack", "id=1%252527%252520union%252520select%252520char(%25252041)--"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.text)))
			var dst []byte
			for b.Loop() {
				dst = Decode(dst[:0], []byte(c.text), true)
			}
		})
	}
}
