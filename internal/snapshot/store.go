package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
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
	list(ctx context.Context, folder string) (files, folders []string, err error)
	open(ctx context.Context, name string) (io.ReadCloser, error)
	// put makes a file that is there as a whole or not at all. errExists if there is one.
	put(ctx context.Context, name string, write func(io.Writer) error) (size int64, err error)
	remove(ctx context.Context, name string) error
	drop(folder string) error // that is empty
	missing(err error) bool   // err of list says that there is no such place
	String() string           // of a name that people can go to
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
	if _, _, err := s.place.list(ctx, ""); err != nil && s.place.missing(err) {
		return err
	}
	return nil
}

// maxNamed is how many of the snapshots that were refused are named.
const maxNamed = 5

// Refused returns what is to be said of snapshots that were there and could not be
// used, until a later one of their series was kept: of a few, and how many more there
// are.
func (s *Store) Refused() (why []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.refused))
	for _, name := range names[max(0, len(names)-maxNamed):] {
		why = append(why, name+": "+s.refused[name])
	}
	if more := len(names) - len(why); more > 0 {
		why = append(why, fmt.Sprintf("and %d more in %s", more, s.place))
	}
	return why
}

// refuse tells of a snapshot that is there and cannot be used.
func (s *Store) refuse(name string, why error) {
	s.m.refused.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.refused); s.refused[name] == "" && n <= maxNamed {
		s.cfg.Logger.Error("snapshot refused: what it knew is lost unless an earlier one can be read",
			zap.Stringer("place", s.place), zap.String("file", name), zap.Error(why), zap.Bool("more_are_not_named", n == maxNamed))
	}
	s.refused[name] = why.Error()
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
