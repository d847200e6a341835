package rekey

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/scenario"
	"weir/internal/seeded"
	"weir/internal/traffic"
)

// BenchmarkHop measures what the way through the second stream costs for a record of mixed
// traffic: bytes there, and time on either side.
func BenchmarkHop(b *testing.B) {
	fields, err := cloudfront.ParseFields(strings.Join(traffic.Fields, ","))
	if err != nil {
		b.Fatal(err)
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	mix := traffic.New(traffic.Config{Seed: 1, Start: start, Rate: 3000, Spread: 20 * time.Second})
	const lanes = 8
	var records []cloudfront.Record
	mix.Until(start.Add(20*time.Second), func(line []byte) {
		records = append(records, cloudfront.Record{})
		if err := format.Parse(&records[len(records)-1], bytes.Clone(line)); err != nil {
			b.Fatal(err)
		}
	})
	set, err := scenario.Compile(scenario.Catalogue(), scenario.Options{})
	if err != nil {
		b.Fatal(err)
	}
	seed, reg := seeded.New(), prometheus.NewRegistry()
	front, err := detect.NewFront(set, detect.FrontConfig{Seed: seed, Registerer: reg})
	if err != nil {
		b.Fatal(err)
	}
	engine, err := detect.New(set, detect.Config{Shards: 1, Seed: seed, Registerer: reg, Alert: func(detect.Alert) {}})
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	digests := Digests(set)
	var writers [lanes]*Writer
	for i := range writers {
		writers[i] = NewWriter(digests)
	}
	var frames [][]byte
	events, size, pours := 0, 0, 0
	rng := rand.New(rand.NewPCG(1, 1))
	sequence := uint64(0)
	write := func() {
		front.Match(records, func(i int, m *detect.Match, v int) {
			events++
			if len(m.Columns) > 0 {
				pours++
			}
			w := writers[v*lanes/detect.Partitions]
			p := Position{sequence: [3]uint64{1 << 50, 1<<40 + sequence>>2, rng.Uint64()}} // as far apart as Kinesis' own
			sequence++
			for !w.Add("logs/shardId-000000000001", p, m) {
				frame := append([]byte(nil), w.Frame()...)
				frames, size = append(frames, frame), size+len(frame)
				w.Reset()
			}
			if r, ok := m.Receipt(); ok {
				front.Sent(r)
			}
		})
	}
	b.Run("send", func(b *testing.B) {
		b.ReportAllocs()
		events, size, pours, frames = 0, 0, 0, nil
		n := 0
		for b.Loop() {
			write()
			n++
		}
		b.ReportMetric(float64(size)/float64(events), "B/event")
		b.ReportMetric(float64(size)/float64(n*len(records)), "B/record")
		b.ReportMetric(100*float64(pours)/float64(events), "%pour")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*len(records)), "ns/record")
	})
	b.Run("count", func(b *testing.B) {
		frames = nil
		write()
		r := NewReader(digests)
		n, away := 0, 0
		var list []Event
		var matches []detect.Match
		for b.Loop() {
			for _, f := range frames {
				r.Reset()
				if list, err = r.Read(f, list[:0]); err != nil {
					b.Fatal(err)
				}
				matches = matches[:0]
				for i := range list {
					matches = append(matches, list[i].Match)
				}
				n += len(list)
				engine.Pour(matches, func(int, int, *detect.Match, int) { away++ })
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
		b.ReportMetric(100*float64(away)/float64(n), "%away")
	})
}
