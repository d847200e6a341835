package awslocal

import "sort"

// Chunks of a shard's log grow from the first size to the second, so that a
// stream of many quiet shards stays small.
const (
	firstChunk = 16 << 10 // bytes
	wholeChunk = 1 << 20  // bytes
)

// shardLog is a shard's records, as the JSON text that GetRecords answers
// with: a read hands out slices of it and encodes nothing. It is guarded by
// its shard's mutex, but text that was handed out may be read without: what is
// written once never changes.
type shardLog struct {
	chunks []*logChunk // oldest first; the last one is written to
	first  uint64      // number of the oldest record kept; equal to next when there is none
	next   uint64      // number that the next record gets; the first one is 1
	size   int         // bytes of text in the chunks
}

// logChunk is consecutive records, each followed by a comma.
type logChunk struct {
	first   uint64 // number of records[0]
	text    []byte
	records []logRecord
}

type logRecord struct {
	at   int64  // arrival, Unix milliseconds; never falls within a shard
	end  uint32 // where the record's text ends in its chunk, its comma included
	size uint32 // bytes of data and key, as limits count them
}

func newShardLog() shardLog { return shardLog{first: 1, next: 1} }

// room returns a chunk that n bytes of text can be appended to, for a record
// that is then counted by add. No chunk is ever without a record otherwise.
func (l *shardLog) room(n int) *logChunk {
	size := firstChunk
	if len(l.chunks) > 0 {
		c := l.chunks[len(l.chunks)-1]
		if cap(c.text)-len(c.text) >= n {
			return c
		}
		size = min(2*cap(c.text), wholeChunk)
	}
	c := &logChunk{first: l.next, text: make([]byte, 0, max(size, n))}
	l.chunks = append(l.chunks, c)
	return c
}

// add counts the record whose text was just appended to c.
func (l *shardLog) add(c *logChunk, at int64, size int) {
	l.size += len(c.text) - c.textStart(len(c.records))
	c.records = append(c.records, logRecord{at: at, end: uint32(len(c.text)), size: uint32(size)})
	l.next++
}

// textStart is where the text of the i-th record begins.
func (c *logChunk) textStart(i int) int {
	if i == 0 {
		return 0
	}
	return int(c.records[i-1].end)
}

// chunk returns the chunk that holds record n, which must be kept.
func (l *shardLog) chunk(n uint64) int {
	return sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].first > n }) - 1
}

// record returns record n, which must be kept.
func (l *shardLog) record(n uint64) logRecord {
	c := l.chunks[l.chunk(n)]
	return c.records[n-c.first]
}

// search returns the first kept record that arrived at or after at, or next.
func (l *shardLog) search(at int64) uint64 {
	i := sort.Search(len(l.chunks), func(i int) bool {
		records := l.chunks[i].records
		return records[len(records)-1].at >= at
	})
	if i == len(l.chunks) {
		return l.next
	}
	c := l.chunks[i]
	j := sort.Search(len(c.records), func(j int) bool { return c.records[j].at >= at })
	return max(l.first, c.first+uint64(j))
}

// trim forgets the records that arrived before horizon.
func (l *shardLog) trim(horizon int64) {
	if l.first == l.next || l.record(l.first).at >= horizon {
		return
	}
	l.first = l.search(horizon)
	keep := len(l.chunks)
	if l.first < l.next {
		keep = l.chunk(l.first)
	}
	for i := range keep {
		l.size -= len(l.chunks[i].text)
		l.chunks[i] = nil // the slice below still holds its array
	}
	l.chunks = l.chunks[keep:]
}

// logPage is what one read gives.
type logPage struct {
	parts   [][]byte // text of the records, in order, each record followed by a comma; not to be changed
	records int
	bytes   int       // data and keys
	next    uint64    // where the next read goes on
	last    logRecord // the last record of the page, when there is one
}

// read collects the records from number from on, up to so many records and
// bytes, and at least one if there is any. It appends to parts.
func (l *shardLog) read(parts [][]byte, from uint64, maxRecords, maxBytes int) logPage {
	p := logPage{parts: parts, next: max(from, l.first)}
	if p.next >= l.next {
		p.next = l.next
		return p
	}
	for i := l.chunk(p.next); i < len(l.chunks); i++ {
		c := l.chunks[i]
		begin := int(p.next - c.first)
		end := begin
		for end < len(c.records) && p.records < maxRecords {
			size := int(c.records[end].size)
			if p.records > 0 && p.bytes+size > maxBytes {
				break
			}
			p.records++
			p.bytes += size
			end++
		}
		if end > begin {
			p.parts = append(p.parts, c.text[c.textStart(begin):c.records[end-1].end])
			p.last = c.records[end-1]
			p.next = c.first + uint64(end)
		}
		if end < len(c.records) {
			break
		}
	}
	return p
}
