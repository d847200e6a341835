package rekey

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"weir/internal/awslocal"
	"weir/internal/detect"
	"weir/internal/scenario"
)

// A bench is a Detector that a test hands what it is to read.
type bench struct {
	*Detector
	h       *house
	sender  *Sender
	link    *link
	end     func()
	commits []error // what Commit returns, and nil after that

	// As Stream:

	mu        sync.Mutex
	position  string
	covered   map[string]string
	abandoned []string
	unsure    error
	cutErr    error
	shards    []string
}

func (h *house) bench(t *testing.T) *bench {
	b := &bench{h: h, covered: make(map[string]string), link: &link{}}
	b.sender = h.sender(h.aws())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.sender.Run(ctx) }()
	reg := prometheus.NewPedanticRegistry()
	b.Detector = NewDetector(DetectorConfig{
		Name: "events", Digests: Digests(h.set), Sender: b.sender, Shelf: &taskShelf{h.shelf, b.link}, Registerer: reg,
		Engine: func() (*detect.Engine, error) {
			return detect.New(h.set, detect.Config{Shards: 1, Memory: 1 << 20, Seed: h.seed, Registerer: reg, Alert: h.alert})
		},
		Store: func(context.Context) error { return nil },
		Commit: func(context.Context) error {
			if len(b.commits) == 0 {
				return nil
			}
			err := b.commits[0]
			b.commits = b.commits[1:]
			return err
		},
	})
	b.end = func() {
		cancel()
		<-done
		for _, id := range b.Shards() {
			b.Drop(id)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
	}
	return b
}

func (b *bench) CutShard(_ context.Context, _ string, f func(string)) error {
	if b.cutErr == nil {
		f(b.position)
	}
	return b.cutErr
}

func (b *bench) Covered(positions map[string]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.Copy(b.covered, positions)
}
func (b *bench) Sure(...string) error  { return b.unsure }
func (b *bench) Abandon(ids ...string) { b.abandoned = append(b.abandoned, ids...) }

func (b *bench) Held() (shards []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shards
}

// whole is a shard that has all partitions.
func whole(id string, parents ...string) Shard {
	return Shard{ID: id, Parents: parents, HashFrom: "0", HashTo: "340282366920938463463374607431768211455"}
}

// frame is one of n events of a client that asks for what is not there, from a record of a
// source on.
func (h *house) frame(source string, record, n int) []byte {
	w := NewWriter(Digests(h.set))
	for i := range n {
		p, err := ParsePosition(strconv.Itoa(record+i), 0)
		h.must(err)
		m := detect.Match{
			Addr: netip.MustParseAddr("192.0.2.1"), Bits: 32, Time: 1_790_000_000_000 + int64(record+i), Status: 404, Request: uint64(record+i)<<8 | 1,
			Hits: []scenario.Hit{{Scenario: h.index("t-missing"), Weight: scenario.WholeEvent}},
		}
		if !w.Add(source, p, &m) {
			h.t.Fatal("too long")
		}
	}
	return bytes.Clone(w.Frame())
}

func (h *house) index(name string) uint16 {
	for i := range h.set.Len() {
		if h.set.At(i).Name == name {
			return uint16(i)
		}
	}
	h.t.Fatal(name)
	return 0
}

func (b *bench) handle(ctx context.Context, sequence string, frames ...[]byte) error {
	sequences := make([]string, len(frames))
	for i := range sequences {
		sequences[i] = sequence + strconv.Itoa(i)
	}
	return b.Handle(ctx, Batch{Shard: "s", Frames: frames, Sequences: sequences})
}

// inBench runs a test with a Detector that has taken a shard.
func inBench(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	inHouse(t, 1, 1, func(t *testing.T, h *house) {
		b := h.bench(t)
		defer b.end()
		if at, err := b.Take(t.Context(), b, whole("s")); at != "" || err != nil {
			t.Fatal(at, err)
		}
		test(t, b)
	})
}

func (b *bench) counted() float64 { return testutil.ToFloat64(b.m.counted) }

// TestNewerFrames: a frame that is too new is not passed over, and nothing beside it is
// counted twice or lost.
func TestNewerFrames(t *testing.T) {
	inBench(t, func(t *testing.T, b *bench) {
		good := b.h.frame("a", 1, 3)
		newer := bytes.Clone(b.h.frame("a", 4, 1))
		newer[len(magic)]++
		for range 3 {
			if err := b.handle(t.Context(), "1", good, newer); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "update this task") {
				t.Fatal(err)
			}
		}
		if err := b.Ready(); !errors.Is(err, ErrVersion) {
			t.Errorf("ready: %v", err)
		}
		if n := b.counted(); n != 0 || testutil.ToFloat64(b.m.refused) != 3 {
			t.Errorf("%v events counted", n)
		}
		if err := b.handle(t.Context(), "1", good); err != nil || b.counted() != 3 {
			t.Errorf("%v, %v events counted", err, b.counted())
		}
	})
}

// TestBrokenFrames: what is no frame is left out, as it will not get better.
func TestBrokenFrames(t *testing.T) {
	inBench(t, func(t *testing.T, b *bench) {
		if err := b.handle(t.Context(), "1", []byte("hello"), b.h.frame("a", 1, 3), nil); err != nil {
			t.Fatal(err)
		}
		if n := testutil.ToFloat64(b.m.broken); n != 2 || b.counted() != 3 {
			t.Errorf("%v broken, %v counted", n, b.counted())
		}
		if err := b.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestRepeatedFrames: what was sent again, cut in another way, counts once.
func TestRepeatedFrames(t *testing.T) {
	inBench(t, func(t *testing.T, b *bench) {
		for i, f := range [][]byte{b.h.frame("a", 1, 3), b.h.frame("a", 2, 4), b.h.frame("b", 1, 1), b.h.frame("a", 1, 5), b.h.frame("a", 5, 2)} {
			if err := b.handle(t.Context(), strconv.Itoa(i+1), f); err != nil {
				t.Fatal(err)
			}
		}
		if n := testutil.ToFloat64(b.m.repeated); b.counted() != 3+2+1+0+1 || n != 2+0+5+1 {
			t.Errorf("%v counted, %v repeated", b.counted(), n)
		}
	})
}

// TestDecisionsAreStoredFirst: a batch is not handled before its decisions are stored.
func TestDecisionsAreStoredFirst(t *testing.T) {
	inBench(t, func(t *testing.T, b *bench) {
		b.commits = []error{errCut, errCut, errCut}
		if err := b.handle(t.Context(), "1", b.h.frame("a", 1, 9)); err != nil || len(b.commits) != 0 {
			t.Error(err, len(b.commits))
		}
		if len(b.h.alerts) != 1 || testutil.ToFloat64(b.m.commits) != 3 {
			t.Error(b.h.alerts)
		}
	})
}

// TestHalfABatch: a state with half a batch in it is neither used nor kept, and its shard
// given back.
func TestHalfABatch(t *testing.T) {
	inBench(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		b.commits = []error{errCut}
		cancel()
		if err := b.handle(ctx, "1", b.h.frame("a", 1, 2)); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := b.handle(t.Context(), "1", b.h.frame("a", 1, 2)); err == nil || !strings.Contains(err.Error(), "of no use") {
			t.Error(err)
		}
		b.position = "10"
		if err := b.KeepShard(t.Context(), b, "s"); err == nil || !slices.Equal(b.abandoned, []string{"s"}) || len(b.h.shelf.states) != 0 {
			t.Error(err, b.abandoned, b.h.shelf.states)
		}
		if _, err := b.Take(t.Context(), b, whole("s")); err != nil {
			t.Fatal(err)
		}
		if err := b.handle(t.Context(), "1", b.h.frame("a", 1, 2)); err != nil || b.counted() != 4 {
			t.Error(err, b.counted())
		}
	})
}

// TestKeepShard: what is kept is what the next owner goes on from; nobody keeps what does not
// follow from it.
func TestKeepShard(t *testing.T) {
	inBench(t, func(t *testing.T, b *bench) {
		other := b.h.bench(t)
		defer other.end()
		keep := func(b *bench, position string) error {
			b.position = position
			return b.KeepShard(t.Context(), b, "s")
		}
		if err := b.handle(t.Context(), "1", b.h.frame("a", 1, 3)); err != nil {
			t.Fatal(err)
		}
		b.unsure = errCut
		if err := keep(b, "10"); !errors.Is(err, errCut) || len(b.covered) != 0 {
			t.Error("kept though the lease may be lost:", err)
		}
		b.unsure = nil
		if err := keep(b, "10"); err != nil || b.covered["s"] != "10" {
			t.Error(err, b.covered)
		}
		if at, err := other.Take(t.Context(), other, whole("s")); at != "10" || err != nil || other.covered["s"] != "10" {
			t.Fatal(at, err)
		}
		if err := other.handle(t.Context(), "2", b.h.frame("a", 2, 4)); err != nil || other.counted() != 2 {
			t.Error(err, other.counted())
		}
		if len(b.h.alerts) != 1 { // the fifth event, after three that the first owner counted
			t.Error(b.h.alerts)
		}
		if err := keep(other, "20"); err != nil {
			t.Error(err)
		}
		if err := keep(b, "15"); !errors.Is(err, ErrConflict) || !slices.Equal(b.abandoned, []string{"s"}) || b.covered["s"] != "10" {
			t.Error("an old owner kept its state:", err, b.covered)
		}
		other.link.cut.Store(true)
		other.position = "30"
		other.Leave(t.Context(), other, "s")
		if n := testutil.ToFloat64(other.m.keeps); n != 1 || len(other.Shards()) != 0 {
			t.Error(n, other.Shards())
		}
		if err := other.handle(t.Context(), "3", b.h.frame("a", 9, 1)); !errors.Is(err, errNotOwned) {
			t.Error(err)
		}
	})
}

// TestUnreadableState: a state that makes no sense is told of, and the shard counted without;
// one that cannot be reached is waited for.
func TestUnreadableState(t *testing.T) {
	inHouse(t, 1, 1, func(t *testing.T, h *house) {
		b := h.bench(t)
		defer b.end()
		h.shelf.states["s"] = keptState{7, "12", []byte("rubbish")}
		h.shelf.states["parent"] = keptState{3, "SHARD_END", []byte(seenMagic + strings.Repeat("\xff", 30))}
		for _, s := range []Shard{whole("s"), whole("child", "parent", "gone")} {
			if at, err := b.Take(t.Context(), b, s); at != "" || err != nil {
				t.Error(at, err)
			}
		}
		if n := testutil.ToFloat64(b.m.unread); n != 2 {
			t.Errorf("%v unreadable states", n)
		}
		b.position = "13"
		if err := b.KeepShard(t.Context(), b, "s"); err != nil || h.shelf.states["s"].number != 8 {
			t.Error(err, h.shelf.states["s"].number)
		}
		b.link.cut.Store(true)
		if _, err := b.Take(t.Context(), b, whole("other")); !errors.Is(err, errCut) {
			t.Error(err)
		}
		if _, err := b.Take(t.Context(), b, Shard{ID: "x", HashFrom: "zero", HashTo: "1"}); err == nil {
			t.Error("a shard without hash keys was taken")
		}
	})
}

// TestKeepDropsWhatWasLost: a shard that the source does not hold any more takes no memory.
func TestKeepDropsWhatWasLost(t *testing.T) {
	inBench(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		b.position, b.shards = "10", []string{"s"}
		go func() { defer close(done); b.Keep(ctx, b, time.Second) }()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		b.mu.Lock()
		if b.covered["s"] != "10" || len(b.Shards()) != 1 {
			t.Error(b.covered, b.Shards())
		}
		b.mu.Unlock()
		b.mu.Lock()
		b.shards = nil
		b.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(b.Shards()) != 0 {
			t.Error(b.Shards())
		}
		cancel()
		<-done
	})
}

// TestSenderWaits: a stream that takes nothing is told of, and everything arrives when it does.
func TestSenderWaits(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		s, err := NewSender(SenderConfig{AWS: w.aws(), Stream: "events", Digests: testDigests})
		w.must(err)
		if err := s.Ready(); err == nil {
			t.Error("ready before it knows the stream")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		w.faults.Add(awslocal.Fault{Service: "kinesis", Action: "PutRecords", For: time.Minute, Do: awslocal.FaultThrottle})
		f := &feed{name: "a", sent: make(map[int][]countedEvent)}
		arrived := make(chan error)
		go func() { arrived <- f.parcel(ctx, s, 2000) }()
		time.Sleep(20 * time.Second)
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "needs more shards") {
			t.Error(err)
		}
		late := s.NewParcel()
		hurry, cancel := context.WithTimeout(ctx, time.Second)
		for n := 0; ; n++ { // there is no room for all of it
			m := matchOf(n)
			if err := late.Add(hurry, "b", Position{index: uint32(n + 1)}, &m, 0); err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				break
			}
		}
		cancel()
		if err := <-arrived; err != nil || s.Ready() != nil {
			t.Error(err, s.Ready())
		}
		if n := testutil.ToFloat64(s.m.refused[refusalThrottled]); n < 10 || n > 100 {
			t.Errorf("%v refusals in a minute", n)
		}
		time.Sleep(5 * time.Second)
		stop()
		<-done
		counted, _ := w.read(testPartition)
		n := 0
		for v := range counted {
			n += len(slices.DeleteFunc(counted[v], func(c countedEvent) bool { return c.source != "a" }))
		}
		if n != 2000 {
			t.Errorf("%d events arrived", n)
		}
	})
}

func TestNewSenderErrors(t *testing.T) {
	_, err := NewSender(SenderConfig{Linger: -1})
	for _, want := range []string{"no stream", "no AWS region", "-1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSpans(t *testing.T) {
	top := whole("").HashTo
	half := "170141183460469231731687303715884105728" // 2^127
	below := "170141183460469231731687303715884105727"
	for _, tt := range []struct {
		from, to string
		want     Span
	}{{"0", top, Span{0, 512}}, {"0", below, Span{0, 256}}, {half, top, Span{256, 512}}, {"5", "9", Span{0, 0}}} {
		if got, err := SpanOf(tt.from, tt.to); got != tt.want || err != nil {
			t.Errorf("%s to %s: %v, %v, want %v", tt.from, tt.to, got, err, tt.want)
		}
	}
	for _, bad := range [][2]string{{"", "1"}, {"1", "x"}} {
		if _, err := SpanOf(bad[0], bad[1]); err == nil {
			t.Error("no error for", bad)
		}
	}
	// Wherever a stream is split, each partition has one shard.
	rapid.Check(t, func(t *rapid.T) {
		at := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 15).Draw(t, "at"))
		low, err1 := SpanOf("0", at.String())
		high, err2 := SpanOf(at.Add(at, big.NewInt(1)).String(), top)
		if err1 != nil || err2 != nil || low.First != 0 || low.End != high.First || high.End != 512 {
			t.Fatal(low, high)
		}
	})
}

// TestSeenComesBack: what was written is read, of the partitions that are wanted, whatever was
// there before.
func TestSeenComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newSeen(), newSeen()
		draw := func(s *seen, n int) {
			for range n {
				e := Event{Source: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "source"), Position: Position{[3]uint64{0, 0, rapid.Uint64Range(0, 9).Draw(t, "sequence")}, rapid.Uint32Range(0, 2).Draw(t, "index")}}
				e.Match.Time = 5
				s.advance(&e, rapid.IntRange(0, 3).Draw(t, "partition"))
			}
		}
		draw(a, rapid.IntRange(0, 20).Draw(t, "a"))
		draw(b, rapid.IntRange(0, 20).Draw(t, "b"))
		var buf bytes.Buffer
		if _, err := a.clone().WriteTo(&buf); err != nil {
			t.Fatal(err)
		}
		size := buf.Len()
		buf.WriteString("what follows")
		of := Span{rapid.IntRange(0, 4).Draw(t, "first"), rapid.IntRange(0, 4).Draw(t, "end")}
		was := b.clone()
		if err := b.read(&buf, of); err != nil || buf.String() != "what follows" {
			t.Fatal(err, buf.String(), size)
		}
		for _, name := range []string{"x", "y"} {
			for v := range 4 {
				want := was.at(name, v)
				if p := a.at(name, v); of.Has(v) && p.Compare(want) > 0 {
					want = p
				}
				if got := b.at(name, v); got != want {
					t.Fatalf("%s %d: %v, want %v", name, v, got, want)
				}
			}
		}
	})
}

func (s *seen) at(name string, v int) Position {
	if from := s.sources[name]; from != nil {
		return from.positions[v]
	}
	return Position{}
}

// TestSeenForgets: a shard that ended long ago takes no room for ever.
func TestSeenForgets(t *testing.T) {
	s := newSeen()
	for i, name := range []string{"old", "new"} {
		e := Event{Source: name, Position: Position{index: 1}}
		e.Match.Time = int64(i) * (seenFor + 1)
		s.advance(&e, 0)
	}
	if c := s.clone(); len(c.sources) != 1 || c.sources["new"] == nil {
		t.Error(c.sources)
	}
}

func FuzzSeen(f *testing.F) {
	s := newSeen()
	s.advance(&Event{Source: "a", Position: Position{[3]uint64{1, 2, 3}, 4}}, 5)
	var buf bytes.Buffer
	if _, err := s.WriteTo(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newSeen()
		if err := s.read(bytes.NewReader(b), Span{0, detect.Partitions}); err != nil {
			if !errors.Is(err, errSeen) {
				t.Fatal(err)
			}
			return
		}
		var again bytes.Buffer
		if _, err := s.WriteTo(&again); err != nil {
			t.Fatal(err)
		}
		if err := newSeen().read(&again, Span{0, detect.Partitions}); err != nil {
			t.Fatal(err)
		}
	})
}
