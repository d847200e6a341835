package scenario

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// What a set has learnt of the sites outlives it in this form, all of it little-endian:
//
//	learntMagic
//	uint64, which follows from the seed: places and hosts are hashes under it
//	3 x uint32, how many paths, pages and doors there are
//	paths: uint64, an entry of site.paths, whose place follows from it
//	pages: uint16, the place in site.pages, and uint64, the entry
//	doors: uint16, the place in site.doors, and uint64, the entry
//	uint32, CRC-32C of all before
//
// Another form, and another size of the tables of pages and doors, needs another magic.
const (
	learntMagic  = "weir: learnt 1\n\x00"
	learntHeader = len(learntMagic) + 8 + 3*4
	learntPath   = 8
	learntPlaced = 2 + 8
	learntSum    = 4

	// keptHours is how much older than most a path may be to be written: records that
	// come late may still ask for it.
	keptHours = 2 * knownHours
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteLearnt writes what the set has learnt of the sites from the records, without what
// is too old to matter: at most 2.2 MB. It may run beside Matchers; of what they learn
// meanwhile it writes some.
//
// Nothing else between records decides what a Matcher finds. What it remembers itself
// follows from columns, and would be found out again; that a path is known may outlast its
// entry in a full table there, for an hour. What an agent.Directory has asked the DNS is asked
// again: until there is an answer, who calls himself a crawler is neither one nor an impostor.
func (s *Set) WriteLearnt(w io.Writer) error {
	var paths, pages, doors []byte
	latest := s.site.usualHour()
	// The last of a group first, as learn fills them: so they are read into the same order.
	for i := len(s.site.paths) - 1; i >= 0; i-- {
		if v := s.site.paths[i].Load(); v != 0 && age(latest, v) <= keptHours {
			paths = binary.LittleEndian.AppendUint64(paths, v)
		}
	}
	for i := range s.site.pages {
		pages = appendPlaced(pages, i, s.site.pages[i].Load())
	}
	for i := range s.site.doors {
		doors = appendPlaced(doors, i, uint64(s.site.doors[i].Load()))
	}
	text := make([]byte, 0, learntHeader+len(paths)+len(pages)+len(doors)+learntSum)
	text = append(text, learntMagic...)
	text = binary.LittleEndian.AppendUint64(text, s.mark)
	text = binary.LittleEndian.AppendUint32(text, uint32(len(paths)/learntPath))
	text = binary.LittleEndian.AppendUint32(text, uint32(len(pages)/learntPlaced))
	text = binary.LittleEndian.AppendUint32(text, uint32(len(doors)/learntPlaced))
	text = append(append(append(text, paths...), pages...), doors...)
	text = binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli))
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("write what was learnt of the sites: %w", err)
	}
	return nil
}

func appendPlaced(text []byte, place int, entry uint64) []byte {
	if entry == 0 {
		return text
	}
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16(text, uint16(place)), entry)
}

// ReadLearnt adds to what the set has learnt what another, under the same seed, has
// written: of what both know, the newer stays. It reads no more than was written. It
// may run beside Matchers. When it returns an error, nothing was added.
func (s *Set) ReadLearnt(r io.Reader) error {
	if err := s.readLearnt(r); err != nil {
		return fmt.Errorf("read what was learnt of the sites: %w", err)
	}
	return nil
}

func (s *Set) readLearnt(r io.Reader) error {
	text := make([]byte, learntHeader)
	if n, err := io.ReadFull(r, text); err != nil {
		return fmt.Errorf("of a header of %d bytes there are %d: %w", learntHeader, n, err)
	}
	magic, rest := text[:len(learntMagic)], text[len(learntMagic):]
	if string(magic) != learntMagic {
		return fmt.Errorf("it begins with %q, not with %q: another version wrote it, or it is something else", magic, learntMagic)
	}
	if binary.LittleEndian.Uint64(rest) != s.mark {
		return errors.New("it was learnt under another seed: nothing of it can be found again")
	}
	paths := int64(binary.LittleEndian.Uint32(rest[8:]))
	pages := int64(binary.LittleEndian.Uint32(rest[12:]))
	doors := int64(binary.LittleEndian.Uint32(rest[16:]))
	if paths > sitePaths || pages > sitePages || doors > siteDoors {
		return fmt.Errorf("%d paths, %d pages and %d places to sign in: there is room for %d, %d and %d", paths, pages, doors, sitePaths, sitePages, siteDoors)
	}
	size := paths*learntPath + (pages+doors)*learntPlaced + learntSum
	body, err := io.ReadAll(io.LimitReader(r, size))
	if err == nil && int64(len(body)) < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("after the header, of %d bytes there are %d: %w", size, len(body), err)
	}
	body, sum := body[:size-learntSum], body[size-learntSum:]
	if binary.LittleEndian.Uint32(sum) != crc32.Update(crc32.Checksum(text, castagnoli), castagnoli, body) {
		return errors.New("its checksum is wrong: it was damaged")
	}
	of := learnt{body[:paths*learntPath], body[paths*learntPath:][:pages*learntPlaced], body[paths*learntPath+pages*learntPlaced:]}
	if err := of.check(); err != nil {
		return err
	}
	of.teach(s.site)
	return nil
}

// A learnt is what was read, in its three parts.
type learnt struct{ paths, pages, doors []byte }

func (l learnt) check() error {
	for text := l.paths; len(text) > 0; text = text[learntPath:] {
		if binary.LittleEndian.Uint64(text) == 0 {
			return errors.New("a path is empty")
		}
	}
	for text := l.pages; len(text) > 0; text = text[learntPlaced:] {
		place, entry := placed(text)
		if place >= sitePages || entry&(1<<pageCountBits-1) > pageMost {
			return fmt.Errorf("page %d is %#x: there is no such place or page", place, entry)
		}
	}
	for text := l.doors; len(text) > 0; text = text[learntPlaced:] {
		if place, entry := placed(text); place >= siteDoors || int64(entry) <= 0 {
			return fmt.Errorf("the place to sign in %d is %#x: there is no such place or time", place, entry)
		}
	}
	return nil
}

func placed(text []byte) (place int, entry uint64) {
	return int(binary.LittleEndian.Uint16(text)), binary.LittleEndian.Uint64(text[2:])
}

func (l learnt) teach(s *site) {
	for text := l.paths; len(text) > 0; text = text[learntPath:] {
		s.mergePath(binary.LittleEndian.Uint64(text))
	}
	for text := l.pages; len(text) > 0; text = text[learntPlaced:] {
		s.mergePage(placed(text))
	}
	for text := l.doors; len(text) > 0; text = text[learntPlaced:] {
		s.mergeDoor(placed(text))
	}
}

// usualHour is the hour, counted round, in which more paths were there last than in any
// other: sure to be near the present, whatever the times of a few records.
func (s *site) usualHour() uint64 {
	count := make([]uint32, hourMask+1)
	usual := uint64(0)
	for i := range s.paths {
		if v := s.paths[i].Load(); v != 0 {
			hour := v & hourMask
			if count[hour]++; count[hour] > count[usual] {
				usual = hour
			}
		}
	}
	return usual
}

// mergePath takes over an entry of paths, unless this one or four others of its group were
// there later.
func (s *site) mergePath(entry uint64) {
	group := s.group(entry)
	for {
		at, old := -1, uint64(0)
		for i := range group {
			v := group[i].Load()
			if v>>hourBits == entry>>hourBits && v != 0 {
				at, old = i, v
				break
			}
			if at < 0 || v == 0 || old != 0 && isLater(old, v) {
				at, old = i, v
			}
		}
		if old != 0 && !isLater(entry, old) || group[at].CompareAndSwap(old, entry) {
			return
		}
	}
}

// isLater reports whether the hour of an entry is later than that of another, the
// shorter way round.
func isLater(entry, than uint64) bool {
	ahead := (entry - than) & hourMask
	return 0 < ahead && ahead <= hourMask/2
}

// mergePage takes over a page if it is surer than what is known. Pages have no time, but
// one that does not come any more is less sure with each other one.
func (s *site) mergePage(place int, entry uint64) {
	const count = 1<<pageCountBits - 1
	for slot := &s.pages[place]; ; {
		if old := slot.Load(); entry&count <= old&count || slot.CompareAndSwap(old, entry) {
			return
		}
	}
}

// mergeDoor takes over when somebody signed in last, if that is later.
func (s *site) mergeDoor(place int, at uint64) {
	for slot := &s.doors[place]; ; {
		if old := slot.Load(); int64(at) <= old || slot.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}
