package ban

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap"

	"weir/internal/reserved"
)

const (
	listsEvery = 30 * time.Second // how often it is looked whether a list has changed

	// listSettles is how old a change has to be before it is read: whoever writes a
	// file may not be done with it.
	listSettles = 2 * time.Second

	badLinesShown = 10
)

// imported is what the lists hold, and what is decided about it. It is immutable.
type imported struct {
	listed *listed
	of     []Decision // by list: the decision about each of its prefixes, but for the prefix
}

func (m *imported) decision(p netip.Prefix, list uint8) Decision {
	d := m.of[list]
	d.Prefix = p
	return d
}

func (m *imported) lookup(p netip.Prefix) (Decision, bool) {
	list, ok := m.listed.get(p)
	if !ok {
		return Decision{}, false
	}
	return m.decision(p, list), true
}

// listWalk goes through what is imported in the order of the prefixes.
type listWalk struct {
	*imported
	i4, i6 int
	take   func(*Decision) bool // nil: all
}

func (m *imported) walk(take func(*Decision) bool) *listWalk {
	return &listWalk{imported: m, take: take}
}

// peek returns what comes next.
func (w *listWalk) peek() (p netip.Prefix, list uint8, ok bool) {
	switch l := w.listed; {
	case w.i4 < len(l.v4):
		p, list = unpack4(l.v4[w.i4])
	case w.i6 < len(l.v6):
		p, list = l.v6[w.i6].unpack()
	default:
		return p, 0, false
	}
	return p, list, true
}

func (w *listWalk) skip() {
	if w.i4 < len(w.listed.v4) {
		w.i4++
	} else {
		w.i6++
	}
}

// before yields what comes before a prefix, or all that is left before the zero
// Prefix. It returns false when yield wants no more.
func (w *listWalk) before(end netip.Prefix, yield func(Decision) bool) bool {
	for {
		p, list, ok := w.peek()
		if !ok || end.IsValid() && comparePrefixes(p, end) >= 0 {
			return true
		}
		w.skip()
		if d := w.decision(p, list); (w.take == nil || w.take(&d)) && !yield(d) {
			return false
		}
	}
}

// about returns what is imported about p, and goes on behind it. Everything before p
// has been yielded.
func (w *listWalk) about(p netip.Prefix) (Decision, bool) {
	q, list, ok := w.peek()
	if !ok || q != p {
		return Decision{}, false
	}
	w.skip()
	d := w.decision(p, list)
	return d, w.take == nil || w.take(&d)
}

// comparePrefixes orders prefixes as tables of them do.
func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// listFile is one file of an imported list.
type listFile struct {
	path    string
	since   time.Time // when it was first read
	changed time.Time // mtime and size of what was read
	size    int64
	trouble trouble
	read    listRead
}

// listRead is what came of reading a list.
type listRead struct {
	listed  *listed
	bad     int     // lines that cannot be read or may not be banned
	errs    []error // about the first of them, with their places
	allowed int     // entries that the allowlist overlaps
}

// openLists reads the lists for the first time: one that is not there is a mistake.
func (s *Store) openLists() error {
	var errs []error
	for i, path := range s.cfg.Lists {
		f := &listFile{path: path, since: s.now()}
		s.files = append(s.files, f)
		if _, err := s.readFile(f, uint8(i), time.Time{}); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.publishLists()
	s.noteLists()
	return nil
}

// readLists reads those lists again that have changed. Of one that cannot be read
// the last content stays in force.
func (s *Store) readLists() {
	anew := false
	for i, f := range s.files {
		changed, err := s.readFile(f, uint8(i), time.Now().Add(-listSettles))
		if err != nil && !bool(f.trouble) {
			s.log.Warn("imported list cannot be read: what it held stays in force", zap.Int("entries", f.read.listed.size()), zap.Error(err))
		} else if err == nil && bool(f.trouble) {
			s.log.Info("imported list can be read again", zap.String("file", f.path))
		}
		f.trouble = err != nil
		anew = anew || changed
	}
	if anew {
		s.publishLists()
	}
	s.noteLists()
}

// listStat is what is shown of a list.
type listStat struct {
	path         string
	entries, bad int
	stale        bool // it cannot be read, and what it held last is in force
}

func (s *Store) noteLists() {
	stats := make([]listStat, 0, len(s.files))
	for _, f := range s.files {
		stats = append(stats, listStat{f.path, f.read.listed.size(), f.read.bad, bool(f.trouble)})
	}
	s.listStats.Store(&stats)
}

// readFile reads a list if it differs from what was read last and, unless it is the
// first time, has not changed since before.
func (s *Store) readFile(f *listFile, list uint8, before time.Time) (changed bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return false, fmt.Errorf("read imported list: %w", err)
	}
	first := before.IsZero()
	if !first && (info.ModTime().Equal(f.changed) && info.Size() == f.size || info.ModTime().After(before)) {
		return false, nil
	}
	in, err := os.Open(f.path)
	if err != nil {
		return false, fmt.Errorf("read imported list: %w", err)
	}
	defer in.Close()
	read, err := s.readList(in, f.path, list)
	if err != nil {
		return false, fmt.Errorf("read imported list %s: %w", f.path, err)
	}
	if after, err := os.Stat(f.path); !first && (err != nil || !after.ModTime().Equal(info.ModTime()) || after.Size() != info.Size()) {
		return false, nil // it is being written; the next look will tell
	}
	f.read, f.changed, f.size = read, info.ModTime(), info.Size()
	fields := []zap.Field{zap.String("file", f.path), zap.Int("entries", read.listed.size()), zap.Int("allowlisted", read.allowed)}
	if read.bad > 0 {
		s.log.Warn("imported list read, but for some lines", append(fields, zap.Int("bad_lines", read.bad), zap.Errors("first", read.errs))...)
	} else {
		s.log.Info("imported list read", fields...)
	}
	return true, nil
}

// readList reads a list: an address or a range a line, as ParsePrefix reads them,
// with comments after # or ; and blank lines. Lines that make no sense, that are
// about ranges wider than may be banned without force, or, with Config.Public, about
// Reserved addresses, are left out, and so is what the allowlist overlaps.
func (s *Store) readList(in io.Reader, name string, list uint8) (listRead, error) {
	read := listRead{listed: new(listed)}
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) { // its beginning is enough; the rest overwrites it
			line = bytes.Clone(line[:4*maxPrefixText])
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return read, err
		}
		if i := bytes.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := s.readLine(&read, string(line), list); err != nil {
				if read.bad++; read.bad <= badLinesShown {
					read.errs = append(read.errs, fmt.Errorf("%s:%d: %w", name, n, err))
				}
			}
		}
		if err != nil {
			break
		}
	}
	read.listed.settle()
	return read, nil
}

func (s *Store) readLine(read *listRead, line string, list uint8) error {
	p, err := ParsePrefix(line)
	switch {
	case err != nil:
		return err
	case isWide(p):
		return fmt.Errorf("%s is wider than /%d: who means it bans it by hand, with force", p, widest(p))
	case s.cfg.Public && reserved.Overlaps(p):
		return fmt.Errorf("%s shares addresses with private or otherwise reserved ones, which no client on the internet has", p)
	case s.fixed.OverlapsPrefix(p): // of what people allow, whoever enforces is told
		read.allowed++
	default:
		read.listed.add(p, list)
	}
	return nil
}

// publishLists puts what was read in force.
func (s *Store) publishLists() {
	next := new(imported)
	var parts []*listed
	for _, f := range s.files {
		parts = append(parts, f.read.listed)
		next.of = append(next.of, Decision{
			Action: s.cfg.Action, Origin: OriginList, Reason: "listed in " + f.path,
			At: f.since, Created: f.since, Until: f.since.Add(MaxDuration),
		})
	}
	next.listed = join(parts)
	old := s.lists.Swap(next)
	if old == nil { // nobody follows yet
		return
	}
	// One more than the journal holds says that everything is to be looked at.
	if changed := old.listed.differing(next.listed, journalSize+1); len(changed) > 0 {
		s.journal.note(changed...)
		s.journal.wake()
	}
}
