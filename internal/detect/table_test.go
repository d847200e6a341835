package detect

import (
	"hash/maphash"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
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
		{value(100), 99, true},
		{value(100), 100, false},
		{value(1 << 16), 1<<16 - 5, true},
		{value(1<<16 - 5), 1 << 16, false},
	} {
		if got := wanted(tt.value, tt.second); got != tt.want {
			t.Errorf("wanted(%x, %d) = %v, want %v", tt.value, tt.second, got, tt.want)
		}
	}
}

// TestTableKeepsWhatIsFullest fills a small table beyond its room and looks what is
// left: in each set those that run dry last, and never a wrong bucket.
func TestTableKeepsWhatIsFullest(t *testing.T) {
	var m memory
	defer m.free()
	table, err := newTable(&m, 4*spread*setBytes)
	if err != nil {
		t.Fatal(err)
	}
	seed := maphash.MakeSeed()
	type entry struct {
		key      key
		scenario uint16
		dry      uint32
	}
	bySet := map[int][]entry{}
	const n = 2000
	for i := range n {
		e := entry{key{hi: uint64(i % 500), lo: 1, bits: 64}, uint16(i / 500), uint32(1000 + i*7919%n)}
		hash := e.key.hash(seed)
		p, found := table.find(e.key, hash, e.scenario, 0)
		if found {
			t.Fatalf("%+v is there before it was put there", e)
		}
		b := table.claim(p, e.key, hash, e.scenario, 0)
		b.first = int64(i)
		table.keep(p, e.dry, 5000)
		// What the table must hold: a full set loses the first to run dry, and takes the new one.
		list := bySet[p.set]
		if len(list) == ways {
			first := slices.MinFunc(list, func(a, b entry) int { return int(a.dry) - int(b.dry) })
			list = slices.DeleteFunc(list, func(x entry) bool { return x == first })
		}
		bySet[p.set] = append(list, e)
	}
	held := 0
	for set, list := range bySet {
		for _, e := range list {
			p, found := table.find(e.key, e.key.hash(seed), e.scenario, 0)
			if !found || p.set != set {
				t.Fatalf("%+v is gone from set %d", e, set)
			}
			b := table.bucket(p)
			if i := int(b.first); uint64(i%500) != e.key.hi || uint16(i/500) != e.scenario {
				t.Errorf("%+v has the bucket of another", e)
			}
			held++
		}
	}
	if table.live != int64(held) || table.evicted != uint64(n-held) {
		t.Errorf("%d live and %d evicted, want %d and %d", table.live, table.evicted, held, n-held)
	}
}

func TestVictim(t *testing.T) {
	full := head{
		tags:  [ways]uint32{2, 2, 2, 2, 2, 2, 2, 2},
		until: [ways]uint32{50, 90, 80, 40, 90, 90, 90, 90},
		dry:   [ways]uint32{45, 60, 20, 39, 15, 90, 90, 90},
	}
	if got := full.victim(30); got != 4 {
		t.Errorf("none has expired: %d gives way, want 4, which runs dry first", got)
	}
	if got := full.victim(60); got != 3 {
		t.Errorf("two have expired: %d gives way, want 3, which expired first", got)
	}
	full.tags[6] = 0
	if got := full.victim(60); got != 6 {
		t.Errorf("one is free: %d is taken, want 6", got)
	}
}

func TestSizes(t *testing.T) {
	if got := unsafe.Sizeof(bucket{}); got != 64 {
		t.Errorf("a bucket takes %d bytes, want a cache line", got)
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
