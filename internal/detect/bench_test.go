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

// BenchmarkPour measures one hit in its bucket, on the shard's own goroutine.
func BenchmarkPour(b *testing.B) {
	for _, clients := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			list := only("http-flood-any", func(s *scenario.Scenario) { s.Capacity = 100_000 })
			e, _ := start(b, list, Config{Shards: 1, Memory: DefaultMemory})
			s := e.shards[0] // no Process runs, so it is ours
			record := parse(b, visit{})
			events := make([]event, clients)
			for i := range events {
				k := key{hi: uint64(i), lo: 1, bits: 64}
				events[i] = event{key: k, hash: k.hash(e.seed), at: ms(0)}
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(clients, func(i, j int) { events[i], events[j] = events[j], events[i] })
			full := batch{records: record, hits: make([]scenario.Hit, batchEvents)}
			next := 0
			pour := func() {
				if next+batchEvents > clients {
					next = 0
				}
				full.events = events[next : next+batchEvents]
				for i := range full.events {
					full.events[i].hits = uint32(i + 1)
				}
				s.pourBatch(&full)
				next += batchEvents
			}
			for range clients / batchEvents { // pages come into being at their first use
				pour()
			}
			b.ReportAllocs()
			for b.Loop() {
				pour()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchEvents, "ns/event")
		})
	}
}
