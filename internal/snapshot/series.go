package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Series is the snapshots of one thing. One goroutine at a time may Put; whoever does has
// to do so by one Series all the time, as it remembers what became of tries before.
type Series struct {
	store  *Store
	folder string

	mu    sync.Mutex
	tried []time.Time    // when those were written that Put could not tell the fate of, since Latest or a success
	bad   map[int64]bool // generations that were there and could not be used
}

// maxTried is how many of them are remembered, the latest ones.
const maxTried = 256

// Series returns the snapshots of one thing; "" = the one thing that there is. A
// name has levels, with a '/' between: letters, digits, '-', '_' and '.', none first.
func (s *Store) Series(name string) *Series {
	return &Series{store: s, folder: name, bad: make(map[int64]bool)}
}

// Below returns the names of what is one level below that of a series: of those that
// were kept there is one for each.
func (s *Store) Below(ctx context.Context, name string) ([]string, error) {
	_, folders, err := s.place.list(ctx, name)
	return folders, err
}

const suffix = ".weir"

// file is the name of a generation, such that a later one sorts behind.
func (r *Series) file(generation int64) string {
	return path.Join(r.folder, fmt.Sprintf("%020d%s", generation, suffix))
}

// generations lists the files of the series, the latest first.
func (r *Series) generations(ctx context.Context) ([]int64, error) {
	names, _, err := r.store.place.list(ctx, r.folder)
	if err != nil {
		return nil, err
	}
	var list []int64
	for i := len(names) - 1; i >= 0; i-- {
		number, ok := strings.CutSuffix(names[i], suffix)
		if n, err := strconv.ParseInt(number, 10, 64); ok && err == nil && n > 0 && len(number) == 20 {
			list = append(list, n)
		}
	}
	return list, nil
}

// Latest reads the latest snapshot that can be read. use is called with its header;
// the sections come from next, one after the other, until its name is "". Nothing is
// used of a file that is damaged. When use returns an error that wraps ErrUnreadable,
// which it does of content that makes no sense to it, the one before is tried: use has
// to begin from nothing each time. With any other error Latest ends.
//
// It returns the generation that the next one has to follow, even if nothing could
// be used, and whether use succeeded.
func (r *Series) Latest(ctx context.Context, use func(h Header, next func() (string, io.Reader, error)) error) (generation int64, ok bool, err error) {
	r.forget()
	list, err := r.generations(ctx)
	if err != nil || len(list) == 0 {
		return 0, false, err
	}
	for _, n := range list {
		switch err = r.read(ctx, n, use); {
		case err == nil:
			return list[0], true, nil
		case !errors.Is(err, ErrUnreadable):
			return 0, false, err
		}
		r.mu.Lock()
		r.bad[n] = true
		r.mu.Unlock()
		r.store.refuse(r.file(n), err)
	}
	return list[0], false, nil
}

// read reads one, first to its end and then for use.
func (r *Series) read(ctx context.Context, generation int64, use func(Header, func() (string, io.Reader, error)) error) error {
	begun := time.Now()
	if err := r.each(ctx, generation, func(in *reader, _ Header) error { return in.verify() }); err != nil {
		return err
	}
	err := r.each(ctx, generation, func(in *reader, h Header) error {
		h.Generation = generation
		return use(h, func() (string, io.Reader, error) {
			name, err := in.section()
			return name, in, err
		})
	})
	if err == nil {
		r.store.m.read.Observe(time.Since(begun).Seconds())
	}
	return err
}

func (r *Series) each(ctx context.Context, generation int64, f func(*reader, Header) error) error {
	name := r.file(generation)
	file, err := r.store.place.open(ctx, name)
	if err != nil {
		return fmt.Errorf("snapshot %s in %s: %w", name, r.store.place, err)
	}
	defer file.Close()
	in, h, err := open(file)
	if err == nil {
		defer in.dec.Close()
		err = f(in, h)
	}
	if err != nil {
		return fmt.Errorf("snapshot %s in %s: %w", name, r.store.place, err)
	}
	return nil
}

// ErrConflict means that another snapshot follows from the same one already: the
// state in hand is not the one that counts.
var ErrConflict = errors.New("another snapshot was kept since")

// Put keeps a snapshot that follows from the given generation, 0 if there was none,
// and returns its own and its size in bytes (0 if
// it was there from a try before whose answer got lost). Those that are too many are removed.
func (r *Series) Put(ctx context.Context, after int64, h Header, sections ...Section) (generation, size int64, err error) {
	begun := time.Now()
	generation, size, err = r.put(ctx, after, h, sections)
	switch {
	case err == nil:
		r.forget()
		r.store.m.wrote(time.Since(begun), size)
	case errors.Is(err, ErrConflict):
		r.store.m.failed.WithLabelValues(failedConflict).Inc()
	default:
		r.store.m.failed.WithLabelValues(failedWrite).Inc()
	}
	if err != nil {
		err = fmt.Errorf("keep a snapshot in %s: %w", r.store.place, err)
	}
	return generation, size, err
}

func (r *Series) put(ctx context.Context, after int64, h Header, sections []Section) (generation, size int64, err error) {
	// Whoever is far behind must not slip into a gap below, where old ones were removed.
	list, err := r.generations(ctx)
	if err != nil {
		return 0, 0, err
	}
	generation = after + 1
	if len(list) > 0 && list[0] > after {
		generation = list[0]
		err = r.unlessMine(ctx, generation, h)
	} else {
		h.Writer = r.store.cfg.Writer
		r.try(h.Written)
		size, err = r.store.place.put(ctx, r.file(generation), func(w io.Writer) error { return write(w, h, sections) })
		if errors.Is(err, errExists) {
			err = r.unlessMine(ctx, generation, h)
		}
	}
	if errors.Is(err, errEarlier) {
		return r.put(ctx, generation, h, sections)
	}
	if err != nil {
		return 0, 0, err
	}
	// Between the look and the write others may have gone on and removed what was there.
	if list, err = r.generations(ctx); err != nil {
		return 0, 0, err
	}
	if len(list) > 0 && list[0] > generation {
		return 0, 0, ErrConflict
	}
	r.store.kept(r.folder)
	r.removeOld(ctx, r.tooMany(list))
	return generation, size, nil
}

const (
	// removedAtOnce bounds what is removed at a time, of what may have piled up.
	removedAtOnce = 16
	// removalSaid is how often it is said that nothing can be removed.
	removalSaid = 10 * time.Minute
)

// tooMany returns what of a list of generations, the latest first, need not be kept. Of
// those that are known to be of no use none is needed, but they do not count either: else
// good ones would go on account of bad ones that are later.
func (r *Series) tooMany(list []int64) []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	good := 0
	for i, n := range list {
		if good == r.store.cfg.Keep {
			return list[i:]
		}
		if !r.bad[n] {
			good++
		}
	}
	return nil
}

// removeOld removes the oldest of what is not needed any more, of a list that has the latest
// first. Where nothing can be removed it is tried once each time.
func (r *Series) removeOld(ctx context.Context, list []int64) {
	for _, old := range slices.Backward(list[max(0, len(list)-removedAtOnce):]) {
		err := r.store.place.remove(ctx, r.file(old))
		if err == nil {
			continue
		}
		if r.store.say() {
			r.store.cfg.Logger.Warn("snapshots that are not needed any more pile up, as they cannot be removed",
				zap.Stringer("place", r.store.place), zap.String("file", r.file(old)), zap.Int("too_many", len(list)), zap.Error(err))
		}
		return
	}
}

// errEarlier means that a try before got there after all.
var errEarlier = errors.New("it was kept though it was not known to be")

// unlessMine returns ErrConflict, unless the latest snapshot was written by this process
// at the same time: its answer got lost and it was sent again. Of one that Put gave up
// before it returns errEarlier: the state in hand goes on from that one, and so from all
// between, as no try is made but on top of what is one's own.
func (r *Series) unlessMine(ctx context.Context, found int64, h Header) error {
	var theirs Header
	if err := r.each(ctx, found, func(_ *reader, h Header) error { theirs = h; return nil }); err != nil && !errors.Is(err, ErrUnreadable) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case theirs.Writer != r.store.cfg.Writer || !slices.ContainsFunc(r.tried, theirs.Written.Equal):
		return ErrConflict
	case theirs.Written.Equal(h.Written):
		return nil
	}
	return errEarlier
}

// try notes a try of which it may never be known what became.
func (r *Series) try(written time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.tried, written.Equal) {
		r.tried = append(r.tried[max(0, len(r.tried)-maxTried+1):], written)
	}
}

// forget ends the memory of tries: another state is gone on from, or one of them is known
// to have been kept.
func (r *Series) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried = nil
}

// Kept reports whether there is a snapshot.
func (r *Series) Kept(ctx context.Context) (bool, error) {
	list, err := r.generations(ctx)
	return len(list) > 0, err
}

// Remove removes all of a series that nobody goes on from any more, the oldest first: who
// finds a part of it finds the latest.
func (r *Series) Remove(ctx context.Context) error {
	list, err := r.generations(ctx)
	if err != nil {
		return err
	}
	for _, n := range slices.Backward(list) {
		if err := r.store.place.remove(ctx, r.file(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove snapshot %s in %s: %w", r.file(n), r.store.place, err)
		}
	}
	_ = r.store.place.drop(r.folder) // or it stays, empty, as when somebody has begun to write there
	return nil
}
