package awslocal

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// kinesisCursor is what shard iterators and NextTokens hold. To clients it is
// a string without meaning; the server keeps nothing about it.
type kinesisCursor struct {
	kind     cursorKind
	issued   int64  // Unix milliseconds
	streamID uint64 // so that a cursor does not fit a later stream of the same name
	shard    uint64 // index of the shard to read, or of the last one listed
	n        uint64 // number of the next record
	filter   uint64 // shardFilter of a listing
	filterAt int64  // Unix milliseconds, of the filter
	stream   string // name of the stream, or of the last one listed
}

type cursorKind uint64

const (
	cursorIterator cursorKind = iota + 1
	cursorShards
	cursorStreams
	cursorConsumers
)

// text seals the cursor: a check sum tells apart what was made here from what
// was made up or cut short.
func (c kinesisCursor) text() string {
	b := make([]byte, 4, 160)
	for _, v := range [...]uint64{uint64(c.kind), uint64(c.issued), c.streamID, c.shard, c.n, c.filter, uint64(c.filterAt)} {
		b = binary.AppendUvarint(b, v)
	}
	b = append(b, c.stream...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return base64.StdEncoding.EncodeToString(b)
}

// parseCursor opens a cursor of that kind.
func parseCursor(kind cursorKind, text string) (c kinesisCursor, ok bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < 4 || binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return c, false
	}
	b = b[4:]
	var v [7]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(b); n <= 0 {
			return c, false
		}
		b = b[n:]
	}
	c = kinesisCursor{
		kind: cursorKind(v[0]), issued: int64(v[1]), streamID: v[2], shard: v[3], n: v[4],
		filter: v[5], filterAt: int64(v[6]), stream: string(b),
	}
	return c, c.kind == kind
}

// expired tells whether a cursor is older than life.
func (c kinesisCursor) expired(now time.Time, life time.Duration) bool {
	return millis(now)-c.issued > life.Milliseconds()
}
