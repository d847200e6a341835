package detect

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// BenchmarkProcess measures a record's way from Process to its buckets, without
// the parsing, over clients that come at random. Every record hits two scenarios.
func BenchmarkProcess(b *testing.B) {
	for _, clients := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			const batch = 4096
			list := append(probing(), only("http-flood-any", func(s *scenario.Scenario) { s.Capacity = 100_000 })...)
			e, _ := start(b, list, Config{Shards: 1, Memory: DefaultMemory})
			rnd := rand.New(rand.NewPCG(1, 2))
			var batches [][]cloudfront.Record
			for range max(16, min(clients/batch*2, 64)) {
				visits := make([]visit, batch)
				for i := range visits {
					n := rnd.IntN(clients)
					visits[i] = visit{at: time.Duration(n) * time.Microsecond, client: fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), url: "/gone", id: "-"}
				}
				batches = append(batches, parse(b, visits...))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				e.Process(batches[i%len(batches)])
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/record")
		})
	}
}

// BenchmarkPour measures one hit in its bucket, without matching.
func BenchmarkPour(b *testing.B) {
	for _, clients := range []int{1_000, 100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			rules := fake{{Name: "flood", Capacity: 100_000, Leak: 4 * time.Millisecond}}
			engine, _ := rules.start(b, Config{Shards: 1, Memory: 2 << 30})
			d, s := newDealer(engine), engine.shards[0]
			record := parse(b, visit{})[0]
			chunk := make([]cloudfront.Record, chunkRecords)
			for i := range chunk {
				chunk[i] = record
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			pour := func() {
				d.events, d.hits, d.spots = d.events[:0], d.hits[:0], d.spots[:0]
				for i := range chunk {
					d.hits = append(d.hits, scenario.Hit{Weight: scenario.WholeEvent})
					k := key{addr: uint64(rnd.IntN(clients)), bits: 32, family: familyIPv4}
					e := d.add(k, engine.plan.hasher.hash(k), ms(0), i, i)
					d.spots = s.fetch(e, d.hits[i:], d.spots)
				}
				d.pour(chunk)
			}
			for range 3 * clients / chunkRecords { // pages come into being at their first use
				pour()
			}
			b.ReportAllocs()
			for b.Loop() {
				pour()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/chunkRecords, "ns/event")
		})
	}
}
