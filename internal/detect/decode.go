package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A decoder puts the entries of frames into an Engine, all of whose shards it has.
type decoder struct {
	engine *Engine
	keep   func(uint64) bool
	untold bool // what is remembered of alerts is left out
	byName map[string]int
	done   Restored

	scenarios   []origin // of the snapshot
	sameIndexes bool     // they are those of the Engine, in the same order
	counts      [frameEnd + 1]uint64
	buckets     []restored // of the part
	clock       int64      // of the part
	frame       []byte

	// Of the frame:

	kind   byte
	left   []byte
	before int64
}

// An origin is a scenario of the snapshot.
type origin struct {
	index   int // in the Engine; -1 = there is none
	shields int // number in the snapshot of the one that its shields are remembered for
}

// restored is where a bucket of the snapshot went: the place, and its birth number, by
// which is known whether it still is there. 0 = nowhere.
type restored uint64

const (
	placeBits = 32 // number of the bucket in the table
	shardBits = 8
)

var (
	errShort    = errors.New("it ends too early")
	errForm     = errors.New("an entry is not of its form")
	errRange    = errors.New("a number is out of its range")
	errEarly    = errors.New("an entry comes before what it belongs to")
	errTooLarge = errors.New("a frame is too large")
)

// read reads a snapshot to its end.
func (d *decoder) read(r io.Reader) error {
	head := make([]byte, max(len(snapshotMagic), frameHead))
	magic := head[:len(snapshotMagic)]
	if _, err := io.ReadFull(r, magic); err != nil {
		return short(err)
	}
	if string(magic) != snapshotMagic {
		return errors.New("it begins with something else, or is of another version")
	}
	for n := 0; ; n++ {
		if _, err := io.ReadFull(r, head[:frameHead]); err != nil {
			return fmt.Errorf("frame %d: %w", n, short(err))
		}
		size := binary.LittleEndian.Uint32(head[1:])
		if size > maxFrame {
			return fmt.Errorf("frame %d: %w", n, errTooLarge)
		}
		if int(size) > cap(d.frame) {
			d.frame = make([]byte, size)
		}
		d.kind, d.left, d.before = head[0], d.frame[:size], 0
		if _, err := io.ReadFull(r, d.left); err != nil {
			return fmt.Errorf("frame %d: %w", n, short(err))
		}
		end := d.kind == frameEnd
		for len(d.left) > 0 {
			if err := d.entry(); err != nil {
				return fmt.Errorf("frame %d, %d bytes before its end: %w", n, len(d.left), err)
			}
		}
		if end {
			return nil
		}
	}
}

func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}

// entry reads one entry of the frame.
func (d *decoder) entry() error {
	if d.kind <= frameEnd {
		d.counts[d.kind]++
	}
	switch d.kind {
	case frameScenario:
		return d.scenario()
	case frameMarks:
		return d.marks()
	case framePart:
		d.buckets = d.buckets[:0]
		return d.time(&d.clock)
	case frameBuckets:
		return d.bucket()
	case frameSamples:
		return d.sample()
	case frameValues:
		return d.value()
	case frameRequests:
		return d.request()
	case frameNotices:
		return d.notice()
	case frameEnd:
		for _, kind := range countedFrames {
			if n, ok := d.word(); !ok || n != d.counts[kind] {
				return errors.New("it has fewer or more entries than it says")
			}
		}
		return nil
	}
	return errors.New("the kind of the frame is unknown")
}

// bytes takes so many bytes of the frame, nil if there are fewer.
func (d *decoder) bytes(n int) []byte {
	if len(d.left) < n {
		d.left = nil
		return nil
	}
	b := d.left[:n]
	d.left = d.left[n:]
	return b
}

func (d *decoder) word() (uint64, bool) {
	b := d.bytes(8)
	if b == nil {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}

func (d *decoder) half() (uint32, bool) {
	b := d.bytes(4)
	if b == nil {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}

// number takes a number up to most.
func (d *decoder) number(most uint64) (uint64, error) {
	n, size := binary.Uvarint(d.left)
	if size <= 0 {
		return 0, errForm
	}
	d.left = d.left[size:]
	if n > most {
		return 0, errRange
	}
	return n, nil
}

// time takes a time in Unix milliseconds, as its distance to the one before, which it
// becomes.
func (d *decoder) time(to *int64) error {
	n, size := binary.Varint(d.left)
	if size <= 0 {
		return errForm
	}
	d.left = d.left[size:]
	if *to = d.before + n; *to < 0 || *to > noticeTime || n < -noticeTime || n > noticeTime {
		return errRange
	}
	d.before = *to
	return nil
}
