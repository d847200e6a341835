package rekey

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/detect"
	"weir/internal/scenario"
)

func TestPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (*big.Int, Position) {
			n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, sequenceBytes).Draw(t, "sequence"))
			p, err := ParsePosition(strings.Repeat("0", rapid.IntRange(0, 2).Draw(t, "zeros"))+n.String(), rapid.Uint32Range(0, 1).Draw(t, "index"))
			if err != nil {
				t.Fatal(err)
			}
			return n, p
		}
		n, p := draw()
		m, q := draw()
		want := n.Cmp(m)
		if want == 0 {
			want = int(p.index) - int(q.index)
		}
		if got := p.Compare(q); got != want || q.Compare(p) != -want {
			t.Fatalf("%v and %v compare as %d, want %d", n, m, got, want)
		}
		b := appendNumber(nil, p.minus(q))
		if got := q.plus(number(b[1:])).At(p.index); got != p || int(b[0]) != len(b)-1 {
			t.Fatalf("%v from %v is %v", p, q, got)
		}
	})
	for _, bad := range []string{"", "-1", "12x", strings.Repeat("9", 59), "SHARD_END"} {
		if _, err := ParsePosition(bad, 0); err == nil {
			t.Errorf("%q is a position", bad)
		}
	}
}

// testDigests are those of the scenarios of drawn events.
var testDigests = []uint64{11, 22, 33, 44, 55, 66, 77, 88}

func drawMatch(t *rapid.T) detect.Match {
	m := detect.Match{
		Time: rapid.Int64Range(0, maxTime-1).Draw(t, "time"), Arrived: rapid.Int64Range(0, maxTime-1).Draw(t, "arrived"),
		Status: rapid.SampledFrom([]uint16{0, 200, 404, 999}).Draw(t, "status"), Request: rapid.Uint64Range(0, 1<<48-1).Draw(t, "request"),
		Apart: rapid.Bool().Draw(t, "apart"), Addr: netip.AddrFrom4([4]byte{192, 0, 2, rapid.ByteMax(3).Draw(t, "v4")}), Bits: 32,
	}
	if rapid.Bool().Draw(t, "IPv6") {
		m.Addr = netip.AddrFrom16([16]byte{0x20, 1, 15: rapid.ByteMax(3).Draw(t, "v6")})
		m.Bits = rapid.SampledFrom([]uint8{0, 48, 64, 128}).Draw(t, "bits")
	}
	for range rapid.IntRange(0, 5).Draw(t, "hits") {
		m.Hits = append(m.Hits, scenario.Hit{
			Scenario: uint16(rapid.IntRange(0, len(testDigests)-1).Draw(t, "scenario")),
			Effect:   scenario.Effect(rapid.IntRange(0, 3).Draw(t, "effect")), Sample: rapid.ByteMax(2).Draw(t, "sample"),
			Weight:   rapid.SampledFrom([]uint32{0, 1000, 1<<32 - 1}).Draw(t, "weight"),
			Distinct: rapid.SampledFrom([]uint32{0, 5, 1<<32 - 1}).Draw(t, "distinct"), Group: rapid.SampledFrom([]uint32{0, 5, 7}).Draw(t, "group"),
		})
	}
	slices.SortStableFunc(m.Hits, func(a, b scenario.Hit) int { return int(a.Effect) - int(b.Effect) })
	if rapid.Bool().Draw(t, "columns") {
		m.Columns = []byte(rapid.StringMatching(`[ab%]{1,3}(\t[ab%]{0,3}){0,9}`).Draw(t, "text"))
	}
	return m
}

// TestFramesComeBack: what was written is read, however it was spread over frames, but for hits
// of scenarios that the reader has not.
func TestFramesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		here := slices.Clone(testDigests)
		missing := rapid.IntRange(-1, len(here)-1).Draw(t, "missing")
		if missing >= 0 {
			here[missing] = 99
		}
		w, r := NewWriter(testDigests), NewReader(here)
		var want, got []Event
		lost := 0
		flush := func() {
			if w.Events() == 0 {
				return
			}
			if n := w.Len(); len(w.Frame()) != n {
				t.Fatalf("a frame of %d bytes has %d", n, len(w.Frame()))
			}
			frame := bytes.Clone(w.buf)
			var err error
			if got, err = r.Read(frame, got); err != nil {
				t.Fatal(err)
			}
			clear(frame) // the events do not point into it
			w.Reset()
		}
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			e := Event{
				Source: rapid.SampledFrom([]string{"a", "shardId-000000000001", ""}).Draw(t, "source"), Match: drawMatch(t),
				Position: Position{
					sequence: [3]uint64{0, rapid.Uint64Range(0, 2).Draw(t, "middle"), rapid.Uint64().Draw(t, "low")}, index: rapid.Uint32().Draw(t, "index"),
				},
			}
			if len(want) > 0 && rapid.Bool().Draw(t, "of the same record") {
				e.Source, e.Position = want[len(want)-1].Source, want[len(want)-1].Position.At(e.Position.index)
			}
			if !w.Add(e.Source, e.Position, &e.Match) {
				t.Fatal("too long")
			}
			lost += len(e.Match.Hits)
			e.Match.Hits = slices.DeleteFunc(slices.Clone(e.Match.Hits), func(h scenario.Hit) bool { return int(h.Scenario) == missing })
			lost -= len(e.Match.Hits)
			want = append(want, e)
			if rapid.IntRange(0, 9).Draw(t, "flush") == 0 {
				flush()
			}
		}
		flush()
		if len(got) != len(want) {
			t.Fatalf("%d events, want %d", len(got), len(want))
		}
		for i := range got {
			if len(got[i].Match.Hits) == 0 && len(want[i].Match.Hits) == 0 {
				got[i].Match.Hits, want[i].Match.Hits = nil, nil
			}
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("event %d: %+v\nwant %+v", i, got[i], want[i])
			}
		}
		if n := r.Reset(); n != lost {
			t.Fatalf("%d hits were left out, want %d", n, lost)
		}
	})
}

// TestFramesAreShort: no frame is longer than it may be, and what does not fit is not in it.
func TestFramesAreShort(t *testing.T) {
	w, r := NewWriter(testDigests), NewReader(testDigests)
	var frames [][]byte
	add := func(i int, columns int) {
		m := detect.Match{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i)}), Bits: 32, Hits: []scenario.Hit{{Weight: 1000}}}
		m.Columns = bytes.Repeat([]byte{'a' + byte(i%26)}, columns)
		p, _ := ParsePosition(fmt.Sprint(i), 0)
		for !w.Add("s", p, &m) {
			frames = append(frames, bytes.Clone(w.Frame()))
			w.Reset()
		}
	}
	for i := range 300 {
		add(i, 7*i)
	}
	frames = append(frames, w.Frame())
	n := 0
	for i, f := range frames {
		if len(f) > FrameSize || len(f) < FrameSize/2 && i < len(frames)-1 {
			t.Errorf("frame %d of %d has %d bytes", i, len(frames), len(f))
		}
		events, err := r.Read(f, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if want, _ := ParsePosition(fmt.Sprint(n), 0); e.Position != want || len(e.Match.Columns) != 7*n {
				t.Fatalf("%v follows %d", e.Position, n)
			}
			n++
		}
	}
	if n != 300 {
		t.Errorf("%d events came back", n)
	}
}

func TestForeignFrames(t *testing.T) {
	w, r := NewWriter(testDigests), NewReader(testDigests)
	m := detect.Match{Addr: netip.AddrFrom4([4]byte{192, 0, 2, 1}), Bits: 32, Hits: []scenario.Hit{{Weight: 1000}}, Columns: []byte("a\tb")}
	w.Add("s", Position{}, &m)
	good := bytes.Clone(w.Frame())
	kept := []Event{{Source: "kept"}}
	for i := range good { // whatever byte is changed, it shows
		bad := bytes.Clone(good)
		bad[i] ^= 1
		want := ErrNoFrame
		if i == len(magic) {
			want = ErrVersion
		}
		if events, err := r.Read(bad, kept); !errors.Is(err, want) || len(events) != 1 {
			t.Errorf("byte %d changed: %d events, %v", i, len(events), err)
		}
		if events, err := r.Read(good[:i], kept); !errors.Is(err, ErrNoFrame) || len(events) != 1 {
			t.Errorf("%d bytes: %d events, %v", i, len(events), err)
		}
	}
	// A few bytes that stand for very many hits: 30,000 of a shape, a thousand times.
	bomb := append([]byte(magic), version)
	bomb = append(bomb, flagSource|flagClient, 0, 1, 's', 0, 0, 0, 192, 0, 2, 1, 0, 0, 0)
	bomb = binary.AppendUvarint(binary.AppendUvarint(bomb, 200), 20_000)
	bomb = append(bomb, 0)
	bomb = binary.LittleEndian.AppendUint64(bomb, testDigests[0])
	bomb = append(bomb, 0, 0, 1)
	bomb = append(bomb, bytes.Repeat([]byte{1, 0, 0, 1}, 19_999)...)
	for range 1000 {
		bomb = append(bomb, 0, 0, 0, 0, 1)
	}
	bomb = binary.LittleEndian.AppendUint32(bomb, crc32.Checksum(bomb, castagnoli))
	if _, err := r.Read(bomb, nil); !errors.Is(err, ErrNoFrame) || len(r.hits) > amplified*len(bomb) {
		t.Errorf("%d hits of %d bytes, %v", len(r.hits), len(bomb), err)
	}
}

// FuzzRead: whatever a frame holds, what is made of it is sound, and an engine takes it.
func FuzzRead(f *testing.F) {
	w := NewWriter(testDigests)
	for i := range 4 {
		m := detect.Match{
			Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Bits: 32, Time: 1_700_000_000_000, Request: 7, Apart: i == 3,
			Hits: []scenario.Hit{{Scenario: uint16(i), Weight: 1000, Group: 9}, {Scenario: 1, Effect: scenario.Drain}}, Columns: []byte("a\tb\tc"),
		}
		w.Add("s", Position{index: uint32(i)}, &m)
	}
	body := w.Frame()
	f.Add(body[head : len(body)-checksum])
	f.Fuzz(func(t *testing.T, body []byte) {
		frame := append(append([]byte(magic), version), body...)
		frame = binary.LittleEndian.AppendUint32(frame, crc32.Checksum(frame, castagnoli))
		r := NewReader(testDigests[:3])
		events, err := r.Read(frame, nil)
		if err != nil && !errors.Is(err, ErrNoFrame) {
			t.Fatal(err)
		}
		if len(events) > len(body) || len(r.hits) > amplified*len(frame) || len(r.columns) > amplified*len(frame) {
			t.Fatalf("%d bytes make %d events, %d hits, %d bytes of columns", len(frame), len(events), len(r.hits), len(r.columns))
		}
		w := NewWriter(testDigests[:3])
		for i := range events {
			m := &events[i].Match
			if m.Time < 0 || m.Time >= maxTime || m.Status > 999 || m.Request >= 1<<48 || bytes.Count(m.Columns, tab) >= maxColumns {
				t.Fatalf("%+v", m)
			}
			for j, h := range m.Hits {
				if h.Scenario >= 3 || h.Effect > scenario.Shield || j > 0 && h.Effect < m.Hits[j-1].Effect {
					t.Fatalf("%+v", m.Hits)
				}
			}
			for !w.Add(events[i].Source, events[i].Position, m) {
				again(t, w, r)
			}
		}
		again(t, w, r)
	})
}

// again reads what was read and written again.
func again(t *testing.T, w *Writer, r *Reader) {
	n := w.Events()
	if events, err := r.Read(w.Frame(), nil); len(w.Frame()) < maxFrame && (err != nil || len(events) != n) {
		t.Fatalf("%d events of %d, %v", len(events), n, err)
	}
	w.Reset()
}
