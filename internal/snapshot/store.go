package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Config says where and by whom snapshots are kept.
type Config struct {
	Place  string     // a directory, or s3://bucket/prefix
	AWS    aws.Config // for a bucket
	Owner  string     // account that the bucket belongs to, twelve digits; "" = it is not checked
	Writer string     // unique for each process
	Keep   int        // how many of a series are kept; default 3

	Logger     *zap.Logger           // nil = silent
	Registerer prometheus.Registerer // nil = not registered
}

// Store is a place for snapshots. Its methods may be called from any goroutine.
type Store struct {
	cfg   Config
	place place
	m     *metrics

	mu      sync.Mutex
	refused map[string]string // why, by name
	said    time.Time         // when it was last said that nothing can be removed
}

// A place is where files are kept. Names may have slashes; those of a folder are
// listed in ascending order.
type place interface {
	list(ctx context.Context, folder string) ([]string, error)
	open(ctx context.Context, name string) (io.ReadCloser, error)
	// put makes a file that is there as a whole or not at all. errExists if there is one.
	put(ctx context.Context, name string, write func(io.Writer) error) (size int64, err error)
	remove(ctx context.Context, name string) error
	missing(err error) bool // err of list says that there is no such place
	String() string         // of a name that people can go to
}

var errExists = errors.New("there is one of that name")

// Check tells whether a place can be one, without going there.
func Check(at string) error {
	rest, ok := strings.CutPrefix(at, "s3://")
	if !ok {
		if strings.Contains(at, "://") {
			return fmt.Errorf("%q is neither a directory nor s3://BUCKET/PREFIX", at)
		}
		return nil
	}
	bucket, _, _ := strings.Cut(rest, "/")
	if !bucketForm.MatchString(bucket) {
		return fmt.Errorf("%q names no bucket: want s3://BUCKET/PREFIX", at)
	}
	return nil
}

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Open makes a store. A directory is made if there is none; a bucket is not asked.
func Open(cfg Config) (*Store, error) {
	if err := Check(cfg.Place); err != nil {
		return nil, err
	}
	if cfg.Keep == 0 {
		cfg.Keep = 3
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	s := &Store{cfg: cfg, m: newMetrics(cfg.Registerer), refused: make(map[string]string)}
	if rest, ok := strings.CutPrefix(cfg.Place, "s3://"); ok {
		bucket, prefix, _ := strings.Cut(rest, "/")
		s.place = newBucket(cfg.AWS, bucket, strings.Trim(prefix, "/"), cfg.Owner)
		return s, nil
	}
	d, err := newDirectory(cfg.Place)
	if err != nil {
		return nil, err
	}
	s.place = d
	return s, nil
}

// Ask returns an error if there is no such place as the store's: a bucket, as a
// directory was made. It is none that the place does not answer, or refuses to.
func (s *Store) Ask(ctx context.Context) error {
	if _, err := s.place.list(ctx, ""); err != nil && s.place.missing(err) {
		return err
	}
	return nil
}

// Refused returns what is to be said of snapshots that were there and could not be
// used, until a later one of their series was kept.
func (s *Store) Refused() (why []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, reason := range s.refused {
		why = append(why, name+": "+reason)
	}
	return why
}

// Series is the snapshots of one thing. One goroutine at a time may use it.
type Series struct {
	store  *Store
	folder string
	tried  []time.Time // when those were written that Put could not tell the fate of, since Latest or a success
}

// maxTried is how many of them are remembered: the first that gets there keeps out the others.
const maxTried = 256

// Series returns the snapshots of one thing; "" = the one thing that there is. A
// name has levels, with a '/' between: letters, digits, '-', '_' and '.', none first.
func (s *Store) Series(name string) *Series { return &Series{store: s, folder: name} }

const suffix = ".weir"

// file is the name of a generation, such that a later one sorts behind.
func (r *Series) file(generation int64) string {
	return path.Join(r.folder, fmt.Sprintf("%020d%s", generation, suffix))
}

// generations lists the files of the series, the latest first.
func (r *Series) generations(ctx context.Context) ([]int64, error) {
	names, err := r.store.place.list(ctx, r.folder)
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
	r.tried = nil
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
		name := r.file(n)
		r.store.refuse(name, err)
	}
	return list[0], false, nil
}

// refuse tells of a snapshot that is there and cannot be used.
func (s *Store) refuse(name string, why error) {
	s.m.refused.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused[name] == "" {
		s.cfg.Logger.Error("snapshot refused: what it knew is lost unless an earlier one can be read",
			zap.Stringer("place", s.place), zap.String("file", name), zap.Error(why))
	}
	s.refused[name] = why.Error()
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
		r.tried = nil
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
		err = r.unlessMine(ctx, list[0], after, h)
	} else {
		h.Writer = r.store.cfg.Writer
		if len(r.tried) < maxTried {
			r.tried = append(r.tried, h.Written)
		}
		size, err = r.store.place.put(ctx, r.file(generation), func(w io.Writer) error { return write(w, h, sections) })
		if errors.Is(err, errExists) {
			err = r.unlessMine(ctx, generation, after, h)
		}
	}
	if errors.Is(err, errEarlier) {
		return r.put(ctx, after+1, h, sections)
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
	r.removeOld(ctx, list[min(len(list), r.store.cfg.Keep):])
	return generation, size, nil
}

const (
	// removedAtOnce bounds what is removed at a time, of what may have piled up.
	removedAtOnce = 16
	// removalSaid is how often it is said that nothing can be removed.
	removalSaid = 10 * time.Minute
)

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

// say reports whether it is time to say again that nothing can be removed.
func (s *Store) say() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.said.IsZero() && time.Since(s.said) < removalSaid {
		return false
	}
	s.said = time.Now()
	return true
}

// errEarlier means that a try before got there after all.
var errEarlier = errors.New("it was kept though it was not known to be")

// unlessMine returns ErrConflict, unless what is there was written by this process at
// the same time: its answer got lost and it was sent again. Of one that Put gave up
// before it returns errEarlier: the state in hand goes on from that one.
func (r *Series) unlessMine(ctx context.Context, found, after int64, h Header) error {
	var theirs Header
	if err := r.each(ctx, found, func(_ *reader, h Header) error { theirs = h; return nil }); err != nil && !errors.Is(err, ErrUnreadable) {
		return err
	}
	switch {
	case found != after+1 || theirs.Writer != r.store.cfg.Writer:
		return ErrConflict
	case theirs.Written.Equal(h.Written):
		return nil
	case slices.ContainsFunc(r.tried, theirs.Written.Equal):
		return errEarlier
	}
	return ErrConflict
}

// kept forgets what was said of a series.
func (s *Store) kept(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.refused {
		if dir, _ := path.Split(name); strings.Trim(dir, "/") == folder {
			delete(s.refused, name)
		}
	}
}
