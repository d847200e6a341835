package awslocal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The log against a plain slice of records.
func TestShardLogIsASlice(t *testing.T) {
	type plain struct {
		at   int64
		size int
		text string
	}
	rapid.Check(t, func(t *rapid.T) {
		log := newShardLog()
		var all []plain // record n is all[n-1]
		first := 0      // index of the first one kept
		at := int64(1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				at += rapid.Int64Range(0, 3).Draw(t, "later")
				// Some fill a chunk by themselves.
				size := rapid.SampledFrom([]int{0, 1, 100, 5000, firstChunk, 3 * firstChunk}).Draw(t, "size")
				text := fmt.Sprintf("%d%s,", len(all), bytes.Repeat([]byte{'x'}, size))
				c := log.room(len(text))
				c.text = append(c.text, text...)
				log.add(c, at, size)
				all = append(all, plain{at, size, text})
			},
			"trim": func(t *rapid.T) {
				horizon := rapid.Int64Range(0, at+2).Draw(t, "horizon")
				log.trim(horizon)
				for first < len(all) && all[first].at < horizon {
					first++
				}
			},
			"search": func(t *rapid.T) {
				from := rapid.Int64Range(0, at+2).Draw(t, "at")
				want := first
				for want < len(all) && all[want].at < from {
					want++
				}
				if got := log.search(from); got != uint64(want+1) {
					t.Errorf("search(%d) = %d, want %d", from, got, want+1)
				}
			},
			"read": func(t *rapid.T) {
				from := rapid.Uint64Range(0, uint64(len(all)+3)).Draw(t, "from")
				records := rapid.IntRange(0, 20).Draw(t, "records")
				size := rapid.SampledFrom([]int{0, 100, 10_000, 1 << 30}).Draw(t, "bytes")
				page := log.read(nil, from, records, size)

				i := min(max(int(from)-1, first), len(all))
				var text strings.Builder
				n, total := 0, 0
				for ; i < len(all) && n < records && (n == 0 || total+all[i].size <= size); i++ {
					text.WriteString(all[i].text)
					n++
					total += all[i].size
				}
				if got := string(bytes.Join(page.parts, nil)); got != text.String() || page.records != n || page.bytes != total || page.next != uint64(i+1) {
					t.Errorf("read(%d, %d, %d) = %d records, %d bytes, next %d; want %d, %d, %d",
						from, records, size, page.records, page.bytes, page.next, n, total, i+1)
				}
				if n > 0 && page.last.at != all[i-1].at {
					t.Errorf("the last record arrived at %d, want %d", page.last.at, all[i-1].at)
				}
			},
			"": func(t *rapid.T) {
				if log.first != uint64(first+1) || log.next != uint64(len(all)+1) {
					t.Errorf("records %d to %d, want %d to %d", log.first, log.next, first+1, len(all)+1)
				}
				kept := 0
				for _, r := range all[first:] {
					kept += len(r.text)
				}
				// A chunk stays as long as one of its records does.
				if log.size < kept || log.size > kept+4*firstChunk+wholeChunk || first == len(all) && log.size != 0 {
					t.Errorf("%d bytes are held for %d", log.size, kept)
				}
			},
		})
	})
}

func TestShardLogKeepsNoMoreThanItsRecords(t *testing.T) {
	log := newShardLog()
	const record, kept = 1000, 100
	for i := range int64(50_000) {
		c := log.room(record)
		c.text = append(c.text, make([]byte, record)...)
		log.add(c, i, record)
		log.trim(i - kept)
	}
	held := 0
	for _, c := range log.chunks[:cap(log.chunks)] {
		if c != nil {
			held += cap(c.text)
		}
	}
	if held > 3*wholeChunk {
		t.Errorf("%d bytes are held for %d records of %d", held, kept, record)
	}
}
