package detect

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// million is how many buckets the benchmarks of cuts are about.
const million = 1_000_000

// A filled is an Engine with a million live buckets, each of a client of its own. Each
// holds two distinct values, one in ten has samples.
type filled struct {
	engine *Engine
	dealer *dealer
	chunk  []cloudfront.Record
	rnd    *rand.Rand
	start  func() *Engine
}

func fill(b *testing.B, shards int) *filled {
	b.Helper()
	rules := fake{{Name: "probing", Capacity: 1000, Leak: 10 * time.Second}, {Name: "near its brim", Capacity: 5, Leak: time.Hour}}
	seed := seeded.New()
	f := &filled{rnd: rand.New(rand.NewPCG(1, 2)), chunk: make([]cloudfront.Record, chunkRecords)}
	f.start = func() *Engine {
		e, _ := rules.start(b, Config{Shards: shards, Memory: DefaultMemory, Seed: seed})
		return e
	}
	f.engine = f.start()
	f.dealer = newDealer(f.engine)
	record := parse(b, visit{url: "/wp-content/plugins/akismet/index.php?x=1", agent: "Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)"})[0]
	for i := range f.chunk {
		f.chunk[i] = record
	}
	for n := 0; n < 2*million; n += chunkRecords {
		f.pour(func(i int) int { return (n + i) % million })
	}
	for range 65 { // pages come into being at their first use
		f.pour(func(i int) int { return f.rnd.IntN(million) })
	}
	return f
}

// pour pours a chunk of records of clients.
func (f *filled) pour(client func(i int) int) {
	d, e := f.dealer, f.engine
	d.events, d.hits, d.spots = d.events[:0], d.hits[:0], d.spots[:0]
	for i := range f.chunk {
		n := client(i)
		index := uint16(0)
		if n%10 == 0 {
			index = 1
		}
		d.hits = append(d.hits, scenario.Hit{Scenario: index, Weight: scenario.WholeEvent, Distinct: f.rnd.Uint32() | 1})
		k := key{addr: uint64(n), bits: 32, family: familyIPv4}
		event := d.add(k, e.plan.hasher.hash(k), ms(0), i, i)
		event.request = ownedBy(event.hash, f.rnd.Uint64()) | 1<<63
		d.spots = e.shards[event.shard].fetch(event, d.hits[i:], d.spots)
	}
	d.pour(f.chunk)
}

// BenchmarkCut measures for how long a cut stops everything. One Engine takes it again
// and again, as it would every ten seconds.
func BenchmarkCut(b *testing.B) {
	f := fill(b, 2)
	var took []time.Duration
	for b.Loop() {
		before := time.Now()
		c := f.engine.Cut()
		took = append(took, time.Since(before))
		c.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "us-longest")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-median")
}

// BenchmarkWriteCut measures how long it takes to write a cut while nothing else happens,
// how long it is, and what that takes of Go's memory.
func BenchmarkWriteCut(b *testing.B) {
	f := fill(b, 2)
	var size int64
	var most uint64
	for b.Loop() {
		c := f.engine.Cut()
		n, err := c.WriteTo(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		size, most = n, max(most, m.HeapInuse)
		c.Close()
	}
	b.ReportMetric(float64(size), "bytes")
	b.ReportMetric(float64(most>>20), "MiB-heap")
}

// BenchmarkRestore measures how long it takes to restore a million buckets.
func BenchmarkRestore(b *testing.B) {
	f := fill(b, 2)
	var snapshot bytes.Buffer
	c := f.engine.Cut()
	if _, err := c.WriteTo(&snapshot); err != nil {
		b.Fatal(err)
	}
	c.Close()
	for b.Loop() {
		e := f.start()
		done, err := e.Restore(bytes.NewReader(snapshot.Bytes()), nil)
		if err != nil || done.Buckets < million*99/100 {
			b.Fatalf("restored %+v: %v", done, err)
		}
		e.Close()
	}
}

// BenchmarkPourBesideCut compares pouring without a cut, with one that nobody writes, and
// with one that is written over and over on another core. Each round has all three.
func BenchmarkPourBesideCut(b *testing.B) {
	f := fill(b, 2)
	const chunks = 400
	pour := func() time.Duration {
		before := time.Now()
		for range chunks {
			f.pour(func(int) int { return f.rnd.IntN(million) })
		}
		return time.Since(before)
	}
	var without, kept, written time.Duration
	var most int64
	for b.Loop() {
		without += pour()

		c := f.engine.Cut()
		kept += pour()
		most = max(most, max(f.engine.memory/cutShare, cutLeast)-c.room.Load())
		c.Close()

		c = f.engine.Cut()
		done := make(chan error)
		go func() {
			_, err := c.WriteTo(io.Discard)
			done <- err
		}()
		written += pour()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	each := float64(b.N * chunks * chunkRecords)
	b.ReportMetric(float64(without.Nanoseconds())/each, "ns/event")
	b.ReportMetric(float64(kept.Nanoseconds())/each, "ns/event-cut")
	b.ReportMetric(float64(written.Nanoseconds())/each, "ns/event-written")
	b.ReportMetric(float64(most>>20), "MiB-kept")
}
