package detect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"weir/internal/cloudfront"
)

// A ring keeps the latest samples of a shard as bytes; the oldest are
// overwritten. The samples of a bucket are chained, each to the one before it.
//
// A position is the number of bytes that were ever written before a sample, in
// units, cut to 32 bits: its distance from the end tells whether the sample is
// still there. Columns are kept as they were logged and unescaped when an alert
// needs them, as few ever do.
type ring struct {
	bytes   []byte
	end     uint64 // bytes that were ever written
	scratch []byte // of unescaping
}

const (
	ringUnit = 64

	// A sample begins with its head: position of the one before (4 bytes), status
	// (2), bits of the client (1, and 1 of padding), the bucket's ident (16), time (8), address (16). Its
	// columns follow, each ended by a tab, which no column can hold.
	sampleHead = 48

	// maxSample is the length of the longest sample in bytes.
	maxSample = sampleHead + 16 + 16 + 128 + 512 + 512 + 256 + 256 + 8 + 16 + 64 + sampleColumns
)

// The columns of a sample, in the order in which they are kept.
const (
	sampleVersion = iota
	sampleMethod
	sampleHost
	samplePath
	sampleQuery
	sampleUserAgent
	sampleReferer
	sampleCountry
	sampleASN
	sampleRequestID
	sampleColumns
)

// newRing returns a ring of up to the given bytes of memory, which must have room
// for several samples.
func newRing(m *memory, size int64) (ring, error) {
	space, err := take[byte](m, int(size/ringUnit*ringUnit))
	return ring{bytes: space, end: ringUnit}, err // position 0 means none
}

// add keeps a request of a bucket as a sample after the one at prev and returns its
// position.
func (g *ring) add(id ident, r *cloudfront.Record, prev uint32) uint32 {
	if uint32(g.end/ringUnit) == 0 {
		g.end += ringUnit
	}
	size := uint64(len(g.bytes))
	if left := size - g.end%size; left < maxSample {
		g.end += left // a sample lies in one piece
	}
	position := uint32(g.end / ringUnit)
	b := g.bytes[g.end%size:]
	putHead(b, id, r, prev)
	n := sampleHead
	n += put(b[n:], r.Raw(cloudfront.FieldCSProtocolVersion), 16)
	n += put(b[n:], r.Raw(cloudfront.FieldCSMethod), 16)
	n += put(b[n:], r.Raw(cloudfront.FieldCSHost), 128)
	n += put(b[n:], r.Path(), 512)
	n += put(b[n:], r.Query(), 512)
	n += put(b[n:], r.Raw(cloudfront.FieldCSUserAgent), 256)
	n += put(b[n:], r.Raw(cloudfront.FieldCSReferer), 256)
	n += put(b[n:], r.Raw(cloudfront.FieldCCountry), 8)
	n += put(b[n:], r.Raw(cloudfront.FieldASN), 16)
	n += put(b[n:], r.Raw(cloudfront.FieldXEdgeRequestID), 64)
	g.end += uint64(n+ringUnit-1) / ringUnit * ringUnit
	return position
}

func putHead(b []byte, id ident, r *cloudfront.Record, prev uint32) {
	_ = b[sampleHead-1]
	binary.LittleEndian.PutUint32(b, prev)
	binary.LittleEndian.PutUint16(b[4:], r.Status)
	b[6] = uint8(clientOf(r).Bits())
	binary.LittleEndian.PutUint64(b[8:], id.addr)
	binary.LittleEndian.PutUint64(b[16:], id.rest)
	binary.LittleEndian.PutUint64(b[24:], uint64(r.Time))
	addr := r.Addr.As16()
	copy(b[32:], addr[:])
}

// put writes a column, cut to max bytes and not in the middle of an escape, and
// the tab that ends it. It returns how many bytes that took.
func put(b, column []byte, most int) int {
	if len(column) > most {
		if i := bytes.LastIndexByte(column[most-2:most], '%'); i >= 0 {
			most += i - 2
		}
		column = column[:most]
	}
	n := copy(b, column)
	b[n] = '\t'
	return n + 1
}

// chain returns up to n of the latest samples of a bucket, oldest first, beginning
// with the one at position and following the chain for as long as it was not
// overwritten.
func (g *ring) chain(position uint32, id ident, n int) []Sample {
	var samples []Sample
	for position != 0 && len(samples) < n {
		b := g.at(position)
		if b == nil || !heads(b, id) {
			break
		}
		samples = append(samples, g.read(b))
		position = binary.LittleEndian.Uint32(b)
	}
	slices.Reverse(samples)
	return samples
}

// at returns the bytes from a position on, or nil if they were overwritten.
func (g *ring) at(position uint32) []byte {
	size := uint64(len(g.bytes))
	back := uint64(uint32(g.end/ringUnit)-position) * ringUnit
	if back == 0 || back > size {
		return nil
	}
	return g.bytes[(g.end-back)%size:]
}

// heads reports whether a sample belongs to a bucket. It always does, unless the
// bucket slept while 2^32 units were written.
func heads(b []byte, id ident) bool {
	return binary.LittleEndian.Uint64(b[8:]) == id.addr && binary.LittleEndian.Uint64(b[16:]) == id.rest
}

func (g *ring) read(b []byte) Sample {
	s := Sample{
		Time:   int64(binary.LittleEndian.Uint64(b[24:])),
		Addr:   netip.AddrFrom16([16]byte(b[32:48])).Unmap(),
		Status: binary.LittleEndian.Uint16(b[4:]),
		bits:   b[6],
	}
	b = b[sampleHead:]
	var ends [sampleColumns]int
	g.scratch = g.scratch[:0]
	for i := range ends {
		var column []byte
		column, b, _ = bytes.Cut(b, []byte{'\t'})
		g.scratch = cloudfront.Unescape(g.scratch, column)
		ends[i] = len(g.scratch)
	}
	all, from := string(g.scratch), 0
	for i, field := range [sampleColumns]*string{
		sampleVersion: &s.Version, sampleMethod: &s.Method, sampleHost: &s.Host, samplePath: &s.Path, sampleQuery: &s.Query,
		sampleUserAgent: &s.UserAgent,
		sampleReferer:   &s.Referer, sampleCountry: &s.Country, sampleASN: &s.ASN, sampleRequestID: &s.RequestID,
	} {
		*field = all[from:ends[i]]
		from = ends[i]
	}
	return s
}
