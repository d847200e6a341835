// Package rekey lets several tasks count as one: tasks that read CloudFront's stream send what
// scenarios match of it, keyed by client, into a second stream, and each of the tasks
// behind that one owns the buckets of the clients of its shards.
//
// One rule holds it together: what is sent carries where it comes from, and its source is read
// in order. So whatever is sent or read again, because a task died before it could say that it
// had done its work, is known by its Position and counts once.
package rekey

import (
	"errors"
	"hash/crc32"

	"weir/internal/detect"
)

// A frame is one record of the second stream, and holds events:
//
//	frame  = "WRK" version event... checksum
//	event  = flags [source] step [index] [client] time arrived [request] shape value... [columns]
//
// The checksum is the CRC-32C of what comes before it, in 4 bytes, little-endian. Numbers are
// varints, unless it says otherwise. What comes again in a frame is written once: a reference
// is 0, and then the thing itself, or 1 more than its number among the things of its kind that
// were written before.
//
//	source  = reference to a text: its length, and it
//	step    = how far the sequence number is from that of the source's event before, or from 0: a byte that
//	          says how many bytes follow, up to 24, highest first
//	index   = which part of the record it comes from, if not 0; with flagSame how many parts after the event before
//	client  = reference to an address: 0 and 4 bytes, or 1 more than the bits of its network and 16 bytes
//	time    = ms since the event before, or since 0; signed, as is what follows
//	arrived = the same for when the stream got it
//	request = 6 bytes, little-endian
//	shape   = reference to what follows from the status and the scenarios alone:
//	          status, number of hits, and of each: reference to a scenario (8 bytes of its digest, little-endian),
//	          effect and hitGroup, hitDistinct (1 byte), sample (1 byte), weight
//	value   = group, then distinct, of each hit that has it: reference to 4 bytes, little-endian
//	columns = how many, and of each but the last a reference to a text; the last is a text
const (
	magic    = "WRK"
	version  = 1
	head     = len(magic) + 1
	checksum = 4
)

// What an event's flags say.
const (
	flagSource  = 1 << iota // it comes from another source than the one before
	flagSame                // it comes from the same record as its source's event before; there is no step
	flagIndex               // it has an index
	flagClient              // it is of another client than the one before
	flagRequest             // it has a request
	flagColumns             // it has columns
	flagApart               // detect.Match.Apart
	flagsEnd    = 1 << iota
)

// What is said of a hit beside its effect.
const (
	hitGroup    = 1 << 4
	hitDistinct = 1 << 5
	effectMask  = hitGroup - 1
)

// The limits of frames in bytes.
const (
	// FrameSize is how long frames get: what Kinesis charges as one unit. Only an event that is
	// longer by itself makes a longer one.
	FrameSize = 25_000

	// maxFrame is how long a frame is believed to get: one with a single event that hits
	// thousands of scenarios.
	maxFrame = 128 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An Event is a Match, and where it comes from.
type Event struct {
	Source   string // names it among all sources of the stream
	Position Position
	Match    detect.Match
}

var (
	// ErrNoFrame is what is wrong with a record of the stream that nobody of ours has written,
	// or that is damaged.
	ErrNoFrame = errors.New("this is no frame")

	// ErrVersion is what is wrong with a frame of a newer Weir. Whoever reads it must not go on
	// before it can.
	ErrVersion = errors.New("a frame of a newer version of Weir")
)
