package rekey

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// A Position says where in its source something comes from: which record of a shard of a
// stream, by its sequence number, and which part of that record. What comes later in a
// source has a higher one. The zero Position comes before all.
type Position struct {
	sequence [3]uint64 // a number, highest word first
	index    uint32
}

// sequenceBytes is the length of a sequence number: Kinesis' have 186 bits, or fewer.
const sequenceBytes = 24

var errSequence = errors.New("this is no sequence number")

// ParsePosition returns the Position of a part of the record with a sequence number, in
// decimal digits.
func ParsePosition(sequence string, index uint32) (Position, error) {
	var s [3]uint64
	for i := range len(sequence) {
		digit := uint64(sequence[i] - '0')
		if digit > 9 {
			return Position{}, fmt.Errorf("read %.80q: %w", sequence, errSequence)
		}
		for j := 2; j >= 0; j-- {
			hi, lo := bits.Mul64(s[j], 10)
			var carry uint64
			s[j], carry = bits.Add64(lo, digit, 0)
			digit = hi + carry
		}
		if digit != 0 {
			return Position{}, fmt.Errorf("read %.80q: %w: it is too large", sequence, errSequence)
		}
	}
	if sequence == "" {
		return Position{}, fmt.Errorf("read %q: %w", sequence, errSequence)
	}
	return Position{s, index}, nil
}

// At returns the Position of another part of the same record.
func (p Position) At(index uint32) Position { return Position{p.sequence, index} }

// Compare orders Positions of one source.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.sequence[0], q.sequence[0]), cmp.Compare(p.sequence[1], q.sequence[1]),
		cmp.Compare(p.sequence[2], q.sequence[2]), cmp.Compare(p.index, q.index))
}

// minus returns how far the sequence number is from q's, modulo 2^192.
func (p Position) minus(q Position) (d [3]uint64) {
	var borrow uint64
	for i := 2; i >= 0; i-- {
		d[i], borrow = bits.Sub64(p.sequence[i], q.sequence[i], borrow)
	}
	return d
}

// plus undoes minus.
func (p Position) plus(d [3]uint64) (q Position) {
	var carry uint64
	for i := 2; i >= 0; i-- {
		q.sequence[i], carry = bits.Add64(p.sequence[i], d[i], carry)
	}
	return q
}

// appendNumber writes a number of 192 bits: how many bytes it has, and those.
func appendNumber(b []byte, d [3]uint64) []byte {
	var all [sequenceBytes]byte
	for i, word := range d {
		binary.BigEndian.PutUint64(all[8*i:], word)
	}
	zeros := 0
	for zeros < sequenceBytes && all[zeros] == 0 {
		zeros++
	}
	b = append(b, byte(sequenceBytes-zeros))
	return append(b, all[zeros:]...)
}

// number undoes appendNumber on bytes without their number.
func number(b []byte) (d [3]uint64) {
	var all [sequenceBytes]byte
	copy(all[sequenceBytes-len(b):], b)
	for i := range d {
		d[i] = binary.BigEndian.Uint64(all[8*i:])
	}
	return d
}
