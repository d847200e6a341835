package scenario

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"weir/internal/cloudfront"
)

// A flood is thousands of requests, and nearly every request could be one of a flood. So
// scenarios that look for one may count a sample: of k records one is picked, and counts
// as k events. A usual visitor then seldom has a bucket at all.
//
// What is in a bucket after N events is then N in the mean, and deviates from it by
// sqrt((k-1)*N), about. The sample is never more than a hundredth of the capacity, so that
// a full bucket deviates by 10 % at the most. Then two thirds of the capacity, sent at
// once, overflow the bucket in 1 of 20,000 cases, half of it in 1 of 10^10, and one and a
// fifth do not in 1 of 30. What a client sends for ever at the share u of the speed at
// which the bucket leaks exceeds the capacity C with the probability
// exp(-2(1-u)C/(u(k-1))): at 90 %, 1 in 10^9. So a flood is found as soon as it was,
// give or take a tenth.
//
// Which records are picked follows from their request ids, which CloudFront makes up, and
// shows to nobody before the request is done: no client can choose what is picked. So the
// hash needs no secret, every process picks alike, and a replay decides as it did live.

// sampleShare is how many times its sample a scenario's capacity is, at least.
const sampleShare = 100

// Sampling returns of how many records one is really counted: Sample, or fewer where
// the capacity, which variables may lower, is too small for that. 1 = each is counted.
func (s *Scenario) Sampling() int {
	if s.Kind != Leaky {
		return 1
	}
	return max(1, min(s.Sample, s.Capacity/sampleShare))
}

// checkSample reports what speaks against the sample that a file asks for.
func (s *Scenario) checkSample() error {
	switch most := min(MaxSample, s.Capacity/sampleShare); {
	case s.Kind != Leaky:
		return errors.New("only a leaky scenario has one")
	case s.weight != weightOne, s.distinct.text != "", s.Spacing != 0, s.Group.Members:
		return errors.New("a scenario with weight, distinct, spacing or members counts every record")
	case most < 2:
		return fmt.Errorf("a capacity of %d is too small for one: it takes %d for each record of the sample", s.Capacity, sampleShare)
	case s.Sample < 1 || s.Sample > most:
		return fmt.Errorf("%d: allowed are 1 to %d, a hundredth of the capacity", s.Sample, most)
	}
	return nil
}

// A lot decides which scenarios that sample count a record.
type lot struct {
	number uint32
	drawn  bool
	blank  bool // the record has no request id
}

// draw reports whether a record is picked for a hit. One without a request id is always
// counted, as itself alone.
func (l *lot) draw(r *cloudfront.Record, hit *Hit) bool {
	if !l.drawn {
		l.drawn = true
		id := r.Raw(cloudfront.FieldXEdgeRequestID)
		if l.blank = len(id) == 0; !l.blank {
			l.number = numberOf(id, r.Time)
		}
	}
	if l.blank {
		hit.Sample, hit.Weight = 0, WholeEvent
		return true
	}
	return l.picks(hit.Sample)
}

// picks reports whether a record that has a request id is one of a sample. Those of a larger
// sample are among those of a smaller one, mostly, so that few records have any event.
func (l *lot) picks(sample uint8) bool { return uint64(l.number)*uint64(sample)>>32 == 0 }

// numberOf returns 32 bits that are as good as random for different request ids, and the
// same in each process. Both ends of an id are random enough where CloudFront made it. The
// time is for logs that others made, and have one id for many records.
func numberOf(id []byte, at int64) uint32 {
	if len(id) < 16 {
		var padded [16]byte
		copy(padded[:], id)
		id = padded[:]
	}
	head, tail := id[:16], id[len(id)-16:]
	h := stir(uint64(at)^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	h += stir(binary.LittleEndian.Uint64(head)^0x8ebc6af09c88c6e3, binary.LittleEndian.Uint64(head[8:])^0x589965cc75374cc3)
	h += stir(binary.LittleEndian.Uint64(tail)^0x2d358dccaa6c78a5, binary.LittleEndian.Uint64(tail[8:])^0x9e3779b97f4a7c15)
	return uint32(stir(h^0x1d8e4e27c47d124f, 0xd6e8feb86659fd93) >> 32)
}

func stir(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
