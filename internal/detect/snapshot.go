package detect

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
)

// The form of a snapshot. It says nothing of shards, sets or ways, so an Engine with others,
// or with another budget, can read it. All of its hashes are made with the Engine's Seed.
//
// It begins with snapshotMagic. Then follow frames: a byte that tells the kind, the length
// of what it holds in 4 bytes, and that: entries, one after the other. Numbers of more than a
// byte are little-endian; where "number" is said they are as encoding/binary's AppendUvarint
// has them, and a time (Unix milliseconds) or its distance as AppendVarint has it.
const (
	snapshotMagic = "weir detect 1\n"

	// frameScenario has one scenario of the Engine, in their order: its definition (16 bytes),
	// the number of the scenario that its shields are remembered for, and its name.
	frameScenario = iota

	// frameMarks has lines of marks: number of the line, then 4 words of 8 bytes: of keys and
	// scenarios in the older generation, and the same in the current one. The first entry of
	// a snapshot has a line behind the last one, and says how many marks were made.
	frameMarks

	// framePart begins a part: the time of its latest records. Buckets are numbered within it,
	// from 0, and named by these numbers. A part has its buckets before what belongs to them.
	framePart

	// frameBuckets has buckets: see appendBucket.
	frameBuckets

	// frameSamples has samples, of a bucket the oldest first: number of the bucket, status
	// (number), bits of the client, distance in time to the one before in the frame, address
	// (16 bytes), and the columns: their length (number) and, as in the ring, each with the tab
	// that ends it.
	frameSamples

	// frameValues has distinct values, the earlier ones first: number of the bucket,
	// fingerprint (4 bytes).
	frameValues

	// frameRequests has hashes of requests, 8 bytes each, the earlier ones first.
	frameRequests

	// frameNotices has notices, 16 bytes each, the earlier ones first.
	frameNotices

	// frameEnd ends the snapshot: how many entries there were in buckets, samples, values,
	// requests and notices.
	frameEnd

	// maxFrame is the most that a frame holds.
	maxFrame = 1 << 20

	frameHead = 5
)

// What is there of a bucket, beside the family of its key in the lowest two bits.
const (
	bucketShields = 1 << (2 + iota) // it is of shields
	bucketCounts
	bucketAlerted
	bucketProtects
	bucketGroup
)

// An encoder writes frames.
type encoder struct {
	cut     *Cut
	w       io.Writer
	frame   int // bytes after which one is written
	buf     []byte
	kind    byte
	before  int64 // time of the entry before, in the frame
	counts  [frameEnd + 1]uint64
	written int64
	err     error
}

// entry begins one of a kind, which is appended to what is returned and handed to put.
func (e *encoder) entry(kind byte) []byte {
	if kind != e.kind {
		e.flush()
		e.kind = kind
	}
	e.counts[kind]++
	if len(e.buf) == 0 {
		e.before = 0
		e.buf = append(e.buf, kind, 0, 0, 0, 0)
	}
	return e.buf
}

func (e *encoder) put(buf []byte) {
	if e.buf = buf; len(buf) >= e.frame {
		e.flush()
	}
}

func (e *encoder) flush() {
	if len(e.buf) == 0 {
		return
	}
	binary.LittleEndian.PutUint32(e.buf[1:], uint32(len(e.buf)-frameHead))
	e.write(e.buf)
	e.buf = e.buf[:0]
}

func (e *encoder) write(b []byte) {
	if e.err == nil {
		var n int
		n, e.err = e.w.Write(b)
		e.written += int64(n)
		if e.err != nil {
			e.cut.ended.Store(true)
		}
	}
}

// WriteTo writes the cut as a snapshot, while records are poured, and returns how many
// bytes that were. It can be called once. After an error what was written is of no use.
// w is written to in pieces of some 64 KiB, without anything being held.
func (c *Cut) WriteTo(w io.Writer) (int64, error) {
	if c.begun.Swap(true) || c.ended.Load() {
		return 0, ErrCutEnded
	}
	e := &encoder{cut: c, w: w, frame: c.frame}
	e.write([]byte(snapshotMagic))
	p := c.engine.plan
	for i, s := range p.scenarios {
		definition := s.Definition()
		buf := binary.AppendUvarint(append(e.entry(frameScenario), definition[:]...), uint64(p.shields[i]))
		buf = binary.AppendUvarint(buf, uint64(len(s.Name)))
		e.put(append(buf, s.Name...))
	}
	e.marks(c.marks)
	for i, s := range c.engine.shards {
		if err := c.writeShard(e, s, &c.shards[i]); err != nil {
			return e.written, cmp.Or(e.err, err)
		}
	}
	counts := e.counts
	buf := e.entry(frameEnd)
	for _, kind := range countedFrames {
		buf = binary.LittleEndian.AppendUint64(buf, counts[kind])
	}
	e.put(buf)
	e.flush()
	return e.written, cmp.Or(e.err, c.state())
}

// countedFrames are the kinds of frames whose entries frameEnd tells.
var countedFrames = [...]byte{frameBuckets, frameSamples, frameValues, frameRequests, frameNotices}

func (e *encoder) marks(m *markedCut) {
	buf := binary.LittleEndian.AppendUint64(binary.AppendUvarint(e.entry(frameMarks), 1<<markBits), uint64(m.made))
	e.put(append(buf, make([]byte, 24)...))
	for i := range m.keys {
		if m.keys[i] == [2]uint64{} {
			continue
		}
		buf := binary.AppendUvarint(e.entry(frameMarks), uint64(i))
		for g := range 2 {
			buf = binary.LittleEndian.AppendUint64(buf, m.keys[i][g])
			buf = binary.LittleEndian.AppendUint64(buf, m.scenarios[i][g])
		}
		e.put(buf)
	}
}

// writeShard writes a shard as a part.
func (c *Cut) writeShard(e *encoder, s *shard, f *cutShard) error {
	e.put(binary.AppendVarint(e.entry(framePart), f.clock))
	e.flush() // one in a frame
	own, wishes := newOwners(int(f.live)), f.samples.wishes()
	number := uint32(0)
	err := f.buckets.see(s, func(i int) bool { return s.isWorthKeeping(i, f.clock) }, func(_ int, b *bucket) {
		if b.count == 0 && b.alerted == 0 && b.shield == 0 {
			return
		}
		if b.count != 0 {
			l := &s.limits[b.ident.scenario()]
			hash := s.plan.hasher.hash(b.ident.key())
			own.add(owner{distinctOwner(hash, b.ident), number, b.born})
			wishes.add(&f.samples, b.sample, wish{number, b.ident.check(), uint16(max(l.samples, l.queue))})
		}
		e.put(e.appendBucket(e.entry(frameBuckets), b))
		number++
	})
	if err != nil {
		return err
	}
	if err := f.samples.see(s, wishes, e.sample); err != nil {
		return err
	}
	err = f.values.see(s, func(i int) bool { return s.values.sets[i][0] != 0 }, func(i int, set *[ways]uint64) {
		for way := ways - 1; way >= 0; way-- {
			if set[way] == 0 {
				continue
			}
			if bucket, ok := own.find(set[way], i, len(f.values.lines)); ok {
				buf := binary.AppendUvarint(e.entry(frameValues), uint64(bucket))
				e.put(binary.LittleEndian.AppendUint32(buf, uint32(set[way]>>32)))
			}
		}
	})
	if err != nil {
		return err
	}
	err = f.requests.see(s, func(i int) bool { return s.requests.sets[i][0] != 0 }, func(_ int, set *[ways]uint64) {
		for way := ways - 1; way >= 0; way-- {
			if set[way] != 0 {
				e.put(binary.LittleEndian.AppendUint64(e.entry(frameRequests), set[way]))
			}
		}
	})
	if err != nil {
		return err
	}
	return f.members.see(s, func(i int) bool { return s.members.sets[i][1] != 0 }, func(_ int, set *[ways]uint64) {
		for way := ways - 2; way >= 0; way -= 2 {
			if set[way+1] != 0 {
				buf := binary.LittleEndian.AppendUint64(e.entry(frameNotices), set[way])
				e.put(binary.LittleEndian.AppendUint64(buf, set[way+1]))
			}
		}
	})
}

// staleAfter is for how many milliseconds a bucket that has expired is still written:
// records may come as late.
const staleAfter = 3600_000

// isWorthKeeping reports whether a bucket of the table is there, and has not expired for
// long. That has to be the opinion of sweep, too: one chunk's time is nobody's word.
func (s *shard) isWorthKeeping(i int, clock int64) bool {
	h, way := &s.buckets.heads[i/ways], i%ways
	if h.free(way) {
		return false
	}
	return h.tag(way)&tagLive != 0 || int64(h.until(way))<<tickBits+staleAfter >= clock
}

// appendBucket appends what a snapshot has of a bucket: what is there of it and its
// family, its scenario (number), bits and address of its key (4 bytes of IPv4, 8 of IPv6;
// neither of a value), its group (4 bytes); level in nanoseconds (number), time of the latest
// event as the distance to the entry before in the frame, how much earlier the first was
// (number), count (number); time of its alert as a distance, too; end of its shield in
// minutes (4 bytes).
func (e *encoder) appendBucket(buf []byte, b *bucket) []byte {
	id := b.ident
	k, scenario, what := id.key(), id.scenario(), byte(0)
	if id.isShield() {
		what, scenario = bucketShields, ^scenario
	}
	flag := func(bit byte, is bool) {
		if is {
			what |= bit
		}
	}
	flag(bucketCounts, b.count != 0)
	flag(bucketAlerted, b.alerted != 0)
	flag(bucketProtects, b.shield != 0)
	flag(bucketGroup, id.group() != 0)
	buf = binary.AppendUvarint(append(buf, what|k.family), uint64(scenario))
	switch k.family {
	case familyIPv4:
		buf = binary.LittleEndian.AppendUint32(append(buf, k.bits), uint32(k.addr))
	case familyIPv6:
		buf = binary.LittleEndian.AppendUint64(append(buf, k.bits), k.addr)
	}
	if id.group() != 0 {
		buf = binary.LittleEndian.AppendUint32(buf, id.group())
	}
	if b.count != 0 {
		buf = binary.AppendUvarint(buf, uint64(b.level))
		buf = binary.AppendVarint(buf, b.last-e.before)
		buf = binary.AppendUvarint(buf, uint64(b.last-b.first))
		buf = binary.AppendUvarint(buf, uint64(b.count))
		e.before = b.last
	}
	if b.alerted != 0 {
		buf = binary.AppendVarint(buf, b.alerted-e.before)
		e.before = b.alerted
	}
	if b.shield != 0 {
		buf = binary.LittleEndian.AppendUint32(buf, b.shield)
	}
	return buf
}

func (e *encoder) sample(bucket uint32, sample []byte) {
	columns := sample[sampleHead:]
	n := 0
	for range sampleColumns {
		n += bytes.IndexByte(columns[n:], '\t') + 1
	}
	buf := binary.AppendUvarint(e.entry(frameSamples), uint64(bucket))
	buf = binary.AppendUvarint(buf, uint64(binary.LittleEndian.Uint16(sample[4:])))
	buf = append(buf, sample[6])
	at := int64(binary.LittleEndian.Uint64(sample[24:]))
	buf = binary.AppendVarint(buf, at-e.before)
	e.before = at
	buf = append(buf, sample[32:sampleHead]...)
	buf = binary.AppendUvarint(buf, uint64(n))
	e.put(append(buf, columns[:n]...))
}
