package cloudfront

import (
	"bytes"
	"encoding/binary"
)

// wordBlocks notes and counts the tabs of line, eight bytes at a time. It gives up on
// lines that are long or short, and on those with raw bytes that CloudFront would have
// escaped, a NUL among them.
//
// What is noted are the bytes that are not printable ASCII. No tab and no NUL is missed,
// though some of the others may be: that is what makes it fast. So when there are as many
// as tabs, they are the tabs.
func (s *stops) wordBlocks(line []byte) (n int, ok bool) {
	n, ok = s.suspects(line)
	return n, ok && n == bytes.Count(line, []byte{'\t'})
}

const (
	// A group of words is passed over if all is printable: the middle of a long column.
	groupSize = 32

	// maxWords is the length in bytes from which on one search a tab is quicker, as its
	// columns are so long.
	maxWords = 2048
)

// suspects notes and counts the bytes of line that are not printable ASCII, as far as
// raise can tell. It gives up on lines that are long or short, on too many suspects and on
// more than four in a word.
//
// What is found in a word is looked up and stored without a branch, up to four places at
// once, and the next word's are stored over those that were none. There are no more than
// four, as a column is at least a "-".
func (s *stops) suspects(line []byte) (n int, ok bool) {
	if len(line) < groupSize || len(line) > maxWords {
		return 0, false
	}
	t := wordTables
	raise, high, gather, step := t.raise, t.high, t.gather, t.step
	next, base := uint(2), uint64(0)
	at := 0
	for ; at <= len(line)-groupSize; at += groupSize {
		b := (*[groupSize]byte)(line[at:])
		w0 := binary.LittleEndian.Uint64(b[0:]) + raise
		w1 := binary.LittleEndian.Uint64(b[8:]) + raise
		w2 := binary.LittleEndian.Uint64(b[16:]) + raise
		w3 := binary.LittleEndian.Uint64(b[24:]) + raise
		if w0&w1&w2&w3&high == high {
			base += step * (groupSize / 8)
			continue
		}
		if next > uint(len(s.low)-room) {
			return 0, false
		}
		x := w0 & high * gather >> 56
		binary.LittleEndian.PutUint64(s.low[next:], t.places[x]+base)
		next += uint(t.sizes[x])
		base += step
		if next > uint(len(s.low)-room) {
			return 0, false
		}
		x = w1 & high * gather >> 56
		binary.LittleEndian.PutUint64(s.low[next:], t.places[x]+base)
		next += uint(t.sizes[x])
		base += step
		if next > uint(len(s.low)-room) {
			return 0, false
		}
		x = w2 & high * gather >> 56
		binary.LittleEndian.PutUint64(s.low[next:], t.places[x]+base)
		next += uint(t.sizes[x])
		base += step
		if next > uint(len(s.low)-room) {
			return 0, false
		}
		x = w3 & high * gather >> 56
		binary.LittleEndian.PutUint64(s.low[next:], t.places[x]+base)
		next += uint(t.sizes[x])
		base += step
	}
	for at < len(line) {
		// The last word overlaps the one before; what both hold is shifted out.
		from := min(at, len(line)-8)
		x := uint8((gatherHighBits(binary.LittleEndian.Uint64(line[from:])+raise) | 0xff00) >> (uint(at-from) & 7))
		if next > uint(len(s.low)-room) {
			return 0, false
		}
		binary.LittleEndian.PutUint64(s.low[next:], t.places[x]+base)
		next += uint(t.sizes[x])
		base += step
		at += 8
	}
	return int(next)/2 - 1, next <= uint(len(s.low)-room)
}

// tables of words are looked into by the high bits of a word's bytes: the printable ones.
type tables struct {
	places [256]uint64 // of the first four that are not printable, in 16 bits each
	sizes  [256]uint8  // how many bytes of these count; too many if there are more

	// Constants are read from here as the compiler would make them anew for each word.
	raise  uint64 // sets the high bit of bytes from 0x20 to 0x9f; see suspects
	high   uint64
	gather uint64
	step   uint64 // from the places in a word to those in the next
}

var wordTables = newTables()

func newTables() *tables {
	// Bytes from 0xa0 up overflow when they are raised, and push their neighbour by one,
	// which can make a printable byte of an 0x1f, but not of a tab or a NUL.
	t := &tables{raise: 0x60 * everyByte, high: highBits, gather: gatherFactor, step: 8 * 0x0001000100010001}
	for x := range t.places {
		n := 0
		for place := range 8 {
			if x>>place&1 == 0 {
				if n < 4 {
					t.places[x] |= uint64(place) << (16 * n)
				}
				n++
			}
		}
		t.sizes[x] = uint8(2 * n)
		if n > 4 {
			t.sizes[x] = uint8(2*maxStops + room)
		}
	}
	return t
}

const gatherFactor = 0x0002040810204081

// gatherHighBits returns the high bits of the eight bytes of w, the lowest byte's first.
func gatherHighBits(w uint64) uint64 { return w & highBits * gatherFactor >> 56 }
