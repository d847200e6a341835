package snapshot

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Header says what a snapshot is of.
type Header struct {
	Generation int64     `json:"-"`       // its place in the series, from 1; it is in the name
	Written    time.Time `json:"written"` // when it was begun
	Writer     string    `json:"writer"`  // who wrote it, unique for each process
	Version    string    `json:"version"` // of the program, for people

	Stream    string            `json:"stream"`    // that it has counted: its ARN
	Created   time.Time         `json:"created"`   // when that stream was made: one that was made anew has other records
	Positions map[string]string `json:"positions"` // how far, by shard
	Seed      []byte            `json:"seed"`      // of the hashes in it
	Decisions []byte            `json:"decisions"` // what tells where the decisions on its alerts are stored from other places
}

// A Section is a part of a snapshot with a name of its own, of at most 64 bytes.
type Section struct {
	Name  string
	Write func(io.Writer) error
}

// A file is a preamble (the magic, and the format's version in two bytes) and
// frames: a byte that says what it is, four with its length, the bytes, and four
// with the checksum of all frames up to here (CRC-32C), so that none can be changed,
// left out or moved unseen. Numbers are little-endian. A header comes first; then each
// section's name, its data in pieces that are compressed by themselves (zstd), and its
// end; then the end of all.
const (
	magic         = "WEIRSNAP"
	formatVersion = 1

	frameHeader  = 'h'
	frameSection = 's'
	frameData    = 'd'
	frameClose   = 'c' // of a section
	frameEnd     = 'e'

	maxPiece  = 256 << 10 // bytes of a section's data in one frame, before they are compressed
	maxFrame  = maxPiece + maxPiece/8
	maxHeader = 16 << 20
	maxName   = 64
)

// ErrUnreadable means that a snapshot is damaged, or of a format that this program
// does not read.
var ErrUnreadable = errors.New("the snapshot cannot be read")

func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnreadable, fmt.Sprintf(format, args...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writer writes frames. The first error stays.
type writer struct {
	out   *bufio.Writer
	sum   uint32
	piece []byte // of the section in hand, not compressed yet
	small []byte // scratch for what is compressed
	enc   *zstd.Encoder
	err   error
}

// write writes a whole file.
func write(out io.Writer, h Header, sections []Section) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	w := &writer{out: bufio.NewWriterSize(out, 1<<16), enc: enc, piece: make([]byte, 0, maxPiece)}
	w.raw([]byte(magic))
	w.raw(binary.LittleEndian.AppendUint16(nil, formatVersion))
	head, err := json.Marshal(h)
	if err != nil || len(head) > maxHeader {
		return fmt.Errorf("a header of %d bytes cannot be written: %w", len(head), err)
	}
	w.frame(frameHeader, head)
	for _, s := range sections {
		w.frame(frameSection, []byte(s.Name))
		if w.err == nil {
			w.err = s.Write(w)
		}
		w.flush()
		w.frame(frameClose, nil)
	}
	w.frame(frameEnd, nil)
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// Write takes a part of the section in hand.
func (w *writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		k := min(len(p), maxPiece-len(w.piece))
		w.piece = append(w.piece, p[:k]...)
		p, n = p[k:], n+k
		if len(w.piece) == maxPiece {
			w.flush()
		}
	}
	return n, w.err
}

func (w *writer) flush() {
	if len(w.piece) > 0 {
		w.small = w.enc.EncodeAll(w.piece, w.small[:0])
		w.frame(frameData, w.small)
		w.piece = w.piece[:0]
	}
}

func (w *writer) frame(kind byte, data []byte) {
	head := [5]byte{kind}
	binary.LittleEndian.PutUint32(head[1:], uint32(len(data)))
	w.raw(head[:])
	w.raw(data)
	w.raw(binary.LittleEndian.AppendUint32(nil, w.sum))
}

// raw writes bytes and adds them to the checksum.
func (w *writer) raw(p []byte) {
	if w.err == nil {
		w.sum = crc32.Update(w.sum, castagnoli, p)
		_, w.err = w.out.Write(p)
	}
}

// reader reads frames. It takes memory for one frame, whatever the bytes say.
type reader struct {
	in    *bufio.Reader
	sum   uint32
	frame []byte
	piece []byte // of the section in hand, not read yet
	raw   []byte // its memory
	dec   *zstd.Decoder
}

// open reads preamble and header.
func open(in io.Reader) (*reader, Header, error) {
	var h Header
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPiece))
	if err != nil {
		return nil, h, err
	}
	r := &reader{in: bufio.NewReaderSize(in, 1<<16), dec: dec}
	var start [len(magic) + 2]byte
	if err := r.fill(start[:]); err != nil {
		return nil, h, err
	}
	if string(start[:len(magic)]) != magic {
		return nil, h, unreadable("it does not begin with %s", magic)
	}
	if v := binary.LittleEndian.Uint16(start[len(magic):]); v != formatVersion {
		return nil, h, unreadable("its format is %d, this program reads %d", v, formatVersion)
	}
	kind, data, err := r.next()
	if err == nil && kind != frameHeader {
		err = unreadable("it has no header")
	}
	if err != nil {
		return nil, h, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, h, unreadable("its header: %v", err)
	}
	return r, h, nil
}

// next returns the next frame. Its data are good until the call after.
func (r *reader) next() (kind byte, data []byte, err error) {
	var head [5]byte
	if err = r.fill(head[:]); err != nil {
		return 0, nil, err
	}
	kind = head[0]
	n, most := int(binary.LittleEndian.Uint32(head[1:])), 0
	switch kind {
	case frameHeader:
		most = maxHeader
	case frameSection:
		most = maxName
	case frameData:
		most = maxFrame
	case frameClose, frameEnd:
	default:
		return 0, nil, unreadable("a frame of kind %q", kind)
	}
	if n > most {
		return 0, nil, unreadable("a frame of %d bytes", n)
	}
	// In steps: a length that is made up costs no more than the bytes that are there.
	r.frame = r.frame[:0]
	for len(r.frame) < n {
		k := min(n-len(r.frame), 1<<16)
		r.frame = append(r.frame, make([]byte, k)...)
		if err = r.fill(r.frame[len(r.frame)-k:]); err != nil {
			return 0, nil, err
		}
	}
	want := r.sum
	var sum [4]byte
	if err = r.fill(sum[:]); err != nil {
		return 0, nil, err
	}
	if got := binary.LittleEndian.Uint32(sum[:]); got != want {
		return 0, nil, unreadable("a checksum is %08x, it should be %08x", got, want)
	}
	return kind, r.frame, nil
}

func (r *reader) fill(p []byte) error {
	_, err := io.ReadFull(r.in, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unreadable("it ends early")
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	r.sum = crc32.Update(r.sum, castagnoli, p)
	return nil
}

// verify reads to the end.
func (r *reader) verify() error {
	for {
		switch kind, _, err := r.next(); {
		case err != nil:
			return err
		case kind == frameHeader:
			return unreadable("a second header")
		case kind == frameEnd:
			if _, err := r.in.Peek(1); err == nil {
				return unreadable("something follows its end")
			}
			return nil
		}
	}
}

// section returns the name of the next section, "" at the end. What was not read of
// the one before is passed over.
func (r *reader) section() (name string, err error) {
	for {
		kind, data, err := r.next()
		switch {
		case err != nil:
			return "", err
		case kind == frameSection && len(data) > 0:
			return string(data), nil
		case kind == frameEnd:
			return "", nil
		case kind == frameSection:
			return "", unreadable("a section without a name")
		}
	}
}

// Read reads from the section that was found last.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.piece) == 0 {
		kind, data, err := r.next()
		switch {
		case err != nil:
			return 0, err
		case kind == frameClose:
			r.piece = nil
			return 0, io.EOF
		case kind != frameData:
			return 0, unreadable("a section without an end")
		}
		if r.raw, err = r.dec.DecodeAll(data, r.raw[:0]); err != nil || len(r.raw) > maxPiece {
			return 0, unreadable("a piece of a section: %v", err)
		}
		r.piece = r.raw
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}
