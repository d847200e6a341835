package detect

import (
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"weir/internal/seeded"
)

// TestRecentIsALeastRecentlyUsedCache holds a set against a plain list.
func TestRecentIsALeastRecentlyUsedCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m memory
		defer m.free()
		r, err := newRecent(&m, recentSetBytes)
		if err != nil {
			t.Fatal(err)
		}
		const mask = ^uint64(0xff)
		var list []uint64
		for range rapid.IntRange(0, 100).Draw(t, "adds") {
			value := rapid.Uint64Range(1, 12).Draw(t, "value")<<8 | rapid.Uint64Range(0, 255).Draw(t, "rest")
			known, out := r.add(rapid.Uint64().Draw(t, "hash"), value, mask)

			at := slices.IndexFunc(list, func(v uint64) bool { return v&mask == value&mask })
			wantOut := uint64(0)
			if at >= 0 {
				list = slices.Delete(list, at, at+1)
			} else if len(list) == ways {
				wantOut = list[ways-1]
				list = list[:ways-1]
			}
			list = slices.Insert(list, 0, value)
			if known != (at >= 0) || out != wantOut {
				t.Fatalf("known %v, out %x; want %v, %x", known, out, at >= 0, wantOut)
			}
		}
	})
}

func TestWanted(t *testing.T) {
	value := func(until uint32) uint64 { return distinctValue(12345, 7, until) }
	for _, tt := range []struct {
		value  uint64
		second uint32
		want   bool
	}{
		{0, 5, false},
		{value(640), 639, true},
		{value(640), 640, false},
		{value(700), 640, false},
		{value(1 << 16), 1<<16 - 5, true},
		{value(1<<16 - 64), 1 << 16, false},
		{value(0x7fff_ffff), 0x7fff_ffff - 9*3600, true},
		{value(0x7fff_ffff - 9*3600), 0x7fff_ffff, false},
	} {
		if got := wanted(tt.value, tt.second); got != tt.want {
			t.Errorf("wanted(%x, %d) = %v, want %v", tt.value, tt.second, got, tt.want)
		}
	}
}

// TestTableKeepsWhatIsFullest fills a small table beyond its room and looks what is
// left: in each group those that run dry last, and never a wrong bucket.
func TestTableKeepsWhatIsFullest(t *testing.T) {
	var m memory
	defer m.free()
	table, err := newTable(&m, 4*spread*setBytes)
	if err != nil {
		t.Fatal(err)
	}
	h := newHasher(seeded.New())
	type entry struct {
		key      key
		scenario uint16
		dry      uint32
	}
	spotOf := func(e entry) (ident, spot) {
		id := e.key.ident(e.scenario, 0)
		return id, table.locate(id, h.hash(e.key), false)
	}
	byGroup := map[int][]entry{}
	const n = 2000
	for i := range n {
		e := entry{key{addr: uint64(i % 500), bits: 64}, uint16(i / 500), uint32(1000 + i*7919%n)}
		id, spot := spotOf(e)
		if _, found := table.find(id, spot); found {
			t.Fatalf("%+v is there before it was put there", e)
		}
		p, b := table.claim(id, spot, 0)
		b.first = int64(i)
		table.keep(p, e.dry, 5000)
		// What the table must hold: a full group loses the first to run dry, and takes the new one.
		list := byGroup[spot.group()]
		if len(list) == ways*spread {
			first := slices.MinFunc(list, func(a, b entry) int { return int(a.dry) - int(b.dry) })
			list = slices.DeleteFunc(list, func(x entry) bool { return x == first })
		}
		byGroup[spot.group()] = append(list, e)
	}
	held := 0
	for group, list := range byGroup {
		for _, e := range list {
			p, found := table.find(spotOf(e))
			if !found || p.set/spread*spread != group {
				t.Fatalf("%+v is gone from group %d", e, group)
			}
			b := table.bucket(p)
			if i := int(b.first); uint64(i%500) != e.key.addr || uint16(i/500) != e.scenario {
				t.Errorf("%+v has the bucket of another", e)
			}
			held++
		}
	}
	if table.live != int64(held) || table.evicted != uint64(n-held) {
		t.Errorf("%d live and %d evicted, want %d and %d", table.live, table.evicted, held, n-held)
	}
}

// TestValuesOfOneClientPushOutEachOther: a client with buckets for thousands of values
// takes the room of a single set.
func TestValuesOfOneClientPushOutEachOther(t *testing.T) {
	var m memory
	defer m.free()
	table, err := newTable(&m, spread*setBytes)
	if err != nil {
		t.Fatal(err)
	}
	h := newHasher(seeded.New())
	put := func(k key, group uint32, dry uint32) {
		id := k.ident(0, group)
		p, _ := table.claim(id, table.locate(id, h.hash(k), group != 0), 0)
		table.keep(p, dry, dry)
	}
	others := ways * (spread - 1)
	for i := range others {
		put(key{addr: uint64(i)}, 0, 1)
	}
	for i := range uint32(5000) {
		put(key{addr: 1 << 40}, i+1, 1000+i)
	}
	for i := range others {
		k := key{addr: uint64(i)}
		id := k.ident(0, 0)
		if _, found := table.find(id, table.locate(id, h.hash(k), false)); !found {
			t.Errorf("the bucket of client %d is gone", i)
		}
	}
}

func TestVictim(t *testing.T) {
	full := head{
		tags:  [ways / 4]uint64{tagUsed * lanes, tagUsed * lanes},
		dry:   [ways]uint32{445, 360, 220, 239, 215, 390, 390, 390},
		slack: [ways]uint16{1, 2, 3, 0, 9, 9, 9, 9},
	}
	for _, tt := range []struct {
		now    uint32
		way    int
		behind bool // it has expired
		why    string
	}{
		{200, 4, false, "none has expired: 4 runs dry first"},
		{450, 3, true, "two have expired: 3 did first"},
	} {
		if way, worth := full.victim(tt.now); way != tt.way || worth < 0 != tt.behind {
			t.Errorf("%s: %d gives way, worth %d", tt.why, way, worth)
		}
	}
	full.setTag(6, tagStray)
	if way, worth := full.victim(450); way != 6 || worth >= 0 {
		t.Errorf("6 is free: %d gives way, worth %d", way, worth)
	}
}

func TestSizes(t *testing.T) {
	if got := unsafe.Sizeof(bucket{}); got != 64 {
		t.Errorf("a bucket takes %d bytes, want a cache line", got)
	}
	if got := unsafe.Sizeof(head{}); got != 64 {
		t.Errorf("a head takes %d bytes, want a cache line", got)
	}
	var m memory
	defer m.free()
	table, err := newTable(&m, 10*spread*setBytes+5)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.regions[0])+len(m.regions[1]) != 10*spread*setBytes || len(table.heads) != 10*spread {
		t.Errorf("a table takes %d and %d bytes", len(m.regions[0]), len(m.regions[1]))
	}
}
