package detect

import (
	"encoding/binary"
	"slices"
)

// A frozenRing is a ring at a cut. Blocks that are about to be overwritten are kept as
// they were: the oldest ones, which whoever reads the ring reads first.
type frozenRing struct {
	cut  *Cut
	ring *ring
	end  uint64
	kept [][]byte // blocks
	seen bool
}

const ringBlock = 16 << 10 // bytes

func (f *frozenRing) begin(c *Cut, g *ring) {
	*f = frozenRing{cut: c, ring: g, end: g.end, kept: make([][]byte, (len(g.bytes)+ringBlock-1)/ringBlock)}
}

// save keeps the blocks in which a sample is about to be put.
func (f *frozenRing) save(at int) {
	for b := at / ringBlock; b <= (at+maxSample-1)/ringBlock && !f.seen; b++ {
		if f.kept[b] == nil && f.cut.takes(ringBlock) {
			f.kept[b] = slices.Clone(f.block(b))
		}
	}
}

func (f *frozenRing) block(b int) []byte {
	return f.ring.bytes[b*ringBlock : min((b+1)*ringBlock, len(f.ring.bytes))]
}

// read copies what is at a place.
func (f *frozenRing) read(to []byte, at int) {
	for len(to) > 0 {
		from := f.kept[at/ringBlock]
		if from == nil {
			from = f.block(at / ringBlock)
		}
		n := copy(to, from[at%ringBlock:])
		to, at = to[n:], at+n
	}
}

// A wish is for the sample at a place, and for some of those before it in its chain. The
// zero wish is for none.
type wish struct {
	bucket uint32 // its number in the snapshot
	check  uint16 // of its ident
	depth  uint16 // samples that are wanted
}

// A wishList has one for each unit of a ring, from the latest one back.
type wishList []wish

func (f *frozenRing) wishes() wishList { return make(wishList, len(f.ring.bytes)/ringUnit) }

// back returns how many units before its end a position was written, false if it was
// overwritten.
func (f *frozenRing) back(position uint32) (int, bool) {
	back := int(uint32(f.end/ringUnit) - position)
	return back - 1, position != 0 && back > 0 && back <= len(f.ring.bytes)/ringUnit
}

// place returns where in the ring a unit lies, by how many came after it.
func (f *frozenRing) place(back int) int {
	return int((f.end - uint64(back+1)*ringUnit) % uint64(len(f.ring.bytes)))
}

// add asks for a bucket's latest samples.
func (l wishList) add(f *frozenRing, position uint32, w wish) {
	if back, ok := f.back(position); ok && l[back].depth < w.depth {
		l[back] = w
	}
}

// see calls each for every sample that is asked for, the oldest first.
func (f *frozenRing) see(s *shard, l wishList, each func(bucket uint32, sample []byte)) error {
	var head [sampleHead]byte
	for i := 0; i < len(l); { // the latest ones first: each asks for the one before it
		s.mu.Lock()
		if err := f.cut.state(); err != nil {
			s.mu.Unlock()
			return err
		}
		for units := 0; i < len(l) && units < f.cut.stretch; i, units = i+1, units+1 {
			w := l[i]
			if w.depth == 0 {
				continue
			}
			units += 31 // it takes as long
			f.read(head[:], f.place(i))
			id := ident{binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint64(head[16:])}
			if id.check() != w.check {
				l[i] = wish{}
				continue
			}
			if w.depth--; w.depth > 0 {
				if before := binary.LittleEndian.Uint32(head[:]); f.isBefore(before, i) {
					l.add(f, before, w)
				}
			}
		}
		s.mu.Unlock()
	}
	space := make([]byte, f.cut.stretch/32*maxSample+maxSample)
	var found []uint32
	for i := len(l) - 1; i >= 0; {
		free := space
		found = found[:0]
		s.mu.Lock()
		if err := f.cut.state(); err != nil {
			s.mu.Unlock()
			return err
		}
		for ; i >= 0 && len(free) >= maxSample; i-- {
			if l[i].depth == 0 {
				continue
			}
			at := f.place(i)
			f.read(free[:min(maxSample, len(f.ring.bytes)-at)], at)
			free = free[maxSample:]
			found = append(found, l[i].bucket)
		}
		s.mu.Unlock()
		for n, bucket := range found {
			each(bucket, space[n*maxSample:][:maxSample])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, block := range f.kept {
		if block != nil {
			f.cut.room.Add(ringBlock)
		}
	}
	f.seen, f.kept = true, nil
	return f.cut.state()
}

// isBefore reports whether a position is that of an older sample than the one at a place.
func (f *frozenRing) isBefore(position uint32, back int) bool {
	other, ok := f.back(position)
	return ok && other > back
}

// check is a short hash.
func (i ident) check() uint16 {
	return uint16(fold(i.addr^0x9e3779b97f4a7c15, i.rest^0xd6e8feb86659fd93))
}
