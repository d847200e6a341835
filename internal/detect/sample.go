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
	end     uint64      // bytes that were ever written
	scratch []byte      // of unescaping
	cut     *frozenRing // nil = there is no cut
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

// sampleWidths is how many bytes of each column are kept.
var sampleWidths = [sampleColumns]int{
	sampleVersion: 16, sampleMethod: 16, sampleHost: 128, samplePath: 512, sampleQuery: 512, sampleUserAgent: 256,
	sampleReferer: 256, sampleCountry: 8, sampleASN: 16, sampleRequestID: 64,
}

// newRing returns a ring of up to the given bytes of memory, which must have room
// for several samples.
func newRing(m *memory, size int64) (ring, error) {
	space, err := take[byte](m, int(size/ringUnit*ringUnit))
	return ring{bytes: space, end: ringUnit}, err // position 0 means none
}

// add keeps a request of a bucket as a sample after the one at prev and returns its
// position.
func (g *ring) add(id ident, r *cloudfront.Record, prev uint32) uint32 {
	position, b := g.room()
	sampleHeadOf{id, prev, r.Status, uint8(clientOf(r).Bits()), r.Time, r.Addr.As16()}.put(b)
	g.fill(sampleHead + putColumns(b[sampleHead:], r))
	return position
}

// room returns the position of the next sample, and the bytes that it may take.
func (g *ring) room() (position uint32, b []byte) {
	if uint32(g.end/ringUnit) == 0 {
		g.end += ringUnit
	}
	size := uint64(len(g.bytes))
	if left := size - g.end%size; left < maxSample {
		g.end += left // a sample lies in one piece
	}
	at := g.end % size
	if g.cut != nil {
		g.cut.save(int(at))
	}
	return uint32(g.end / ringUnit), g.bytes[at : at+maxSample]
}

// fill says of how many bytes the sample is that was put where there was room.
func (g *ring) fill(n int) { g.end += uint64(n+ringUnit-1) / ringUnit * ringUnit }

// putColumns writes the columns of a sample, and returns how many bytes they took.
func putColumns(b []byte, r *cloudfront.Record) (n int) {
	n += put(b[n:], r.Raw(cloudfront.FieldCSProtocolVersion), sampleWidths[sampleVersion])
	n += put(b[n:], r.Raw(cloudfront.FieldCSMethod), sampleWidths[sampleMethod])
	n += put(b[n:], r.Raw(cloudfront.FieldCSHost), sampleWidths[sampleHost])
	n += put(b[n:], r.Path(), sampleWidths[samplePath])
	n += put(b[n:], r.Query(), sampleWidths[sampleQuery])
	n += put(b[n:], r.Raw(cloudfront.FieldCSUserAgent), sampleWidths[sampleUserAgent])
	n += put(b[n:], r.Raw(cloudfront.FieldCSReferer), sampleWidths[sampleReferer])
	n += put(b[n:], r.Raw(cloudfront.FieldCCountry), sampleWidths[sampleCountry])
	n += put(b[n:], r.Raw(cloudfront.FieldASN), sampleWidths[sampleASN])
	return n + put(b[n:], r.Raw(cloudfront.FieldXEdgeRequestID), sampleWidths[sampleRequestID])
}

// sampleHeadOf is the head of a sample, as it is kept.
type sampleHeadOf struct {
	ident  ident
	before uint32 // position
	status uint16
	bits   uint8 // of the client
	time   int64
	addr   [16]byte
}

func (h sampleHeadOf) put(b []byte) {
	_ = b[sampleHead-1]
	binary.LittleEndian.PutUint32(b, h.before)
	binary.LittleEndian.PutUint16(b[4:], h.status)
	b[6] = h.bits
	binary.LittleEndian.PutUint64(b[8:], h.ident.addr)
	binary.LittleEndian.PutUint64(b[16:], h.ident.rest)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.time))
	copy(b[32:], h.addr[:])
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
