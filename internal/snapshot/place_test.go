package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"weir/internal/awslocal"
)

// The stand-in for S3, as the SDK reaches it in process.
func standIn(t *testing.T) (*awslocal.Server, aws.Config) {
	t.Helper()
	server := awslocal.New(awslocal.Config{S3: awslocal.S3Config{Page: 2}})
	cfg := aws.Config{
		Region: "us-east-1", HTTPClient: server.HTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
	_, err := s3.NewFromConfig(cfg).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("states")})
	if err != nil {
		t.Fatal(err)
	}
	return server, cfg
}

// everywhere runs a test on each kind of place.
func everywhere(t *testing.T, test func(t *testing.T, cfg Config, faults *awslocal.Faults)) {
	t.Run("directory", func(t *testing.T) {
		test(t, Config{Place: filepath.Join(t.TempDir(), "a", "b"), Writer: "me"}, nil)
	})
	for name, place := range map[string]string{"bucket": "s3://states/weir/prod", "bucket without a prefix": "s3://states"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, cfg := standIn(t)
				test(t, Config{Place: place, AWS: cfg, Owner: "000000000000", Writer: "me"}, server.Faults())
			})
		})
	}
	t.Run("bucket over HTTP", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, cfg := standIn(t)
			cfg.BaseEndpoint = new("http://stand-in") // by path, with a signed body
			test(t, Config{Place: "s3://states/p", AWS: cfg, Writer: "me"}, server.Faults())
		})
	})
}

func mustOpen(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(name, s string) Section {
	return Section{name, func(w io.Writer) error { _, err := io.WriteString(w, s); return err }}
}

// got reads the latest snapshot of a series as one line.
func got(t *testing.T, r *Series) string {
	t.Helper()
	var line string
	generation, ok, err := r.Latest(t.Context(), func(h Header, next func() (string, io.Reader, error)) error {
		line = fmt.Sprint(h.Generation, " ", h.Stream, " ", h.Positions)
		for {
			name, in, err := next()
			if err != nil || name == "" {
				return err
			}
			b, err := io.ReadAll(in)
			if err != nil {
				return err
			}
			line += " " + name + "=" + string(b)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return fmt.Sprint("none after ", generation)
	}
	return line
}

// What has the name of a snapshot and cannot be opened is refused, and the one before read.
func TestWhatIsNoFile(t *testing.T) {
	s := mustOpen(t, Config{Place: t.TempDir(), Writer: "me"})
	if _, _, err := s.Series("").Put(t.Context(), 0, Header{Stream: "logs"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.cfg.Place, fmt.Sprintf("%020d.weir", 7)), 0o700); err != nil {
		t.Fatal(err)
	}
	if g := got(t, s.Series("")); g != "1 logs map[]" {
		t.Error(g)
	}
	if len(s.Refused()) != 1 {
		t.Errorf("refused = %q", s.Refused())
	}
	if generation, _, err := s.Series("").Put(t.Context(), 7, Header{Stream: "logs"}); generation != 8 || err != nil {
		t.Errorf("the next one is %d, error %v", generation, err)
	}
}

// Where snapshots cannot be removed, no time is lost with trying, and it is said now and then.
// Later those that piled up go a few at a time, the oldest first.
func TestSnapshotsThatPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, cloud := standIn(t)
		core, said := observer.New(zap.WarnLevel)
		s := mustOpen(t, Config{Place: "s3://states/p", AWS: cloud, Writer: "me", Logger: zap.New(core)})
		r := s.Series("")
		put := func(after int64) {
			t.Helper()
			if _, _, err := r.Put(t.Context(), after, Header{Written: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		tried := func() (n int) {
			for _, c := range server.Calls() {
				if c.Action == "DeleteObject" {
					n++
				}
			}
			return n
		}
		server.Faults().Add(awslocal.Fault{Service: "s3", Action: "DeleteObject", Do: awslocal.FaultError, Code: "AccessDenied"})
		for i := range int64(40) {
			put(i)
		}
		if n := tried(); n != 37 || said.Len() != 1 {
			t.Errorf("%d times a snapshot was to be removed, and %d times something was said", n, said.Len())
		}
		server.Faults().Clear()
		put(40)
		list, err := r.generations(t.Context())
		if err != nil || len(list) != 41-removedAtOnce || list[len(list)-1] != removedAtOnce+1 {
			t.Errorf("left are %v, error %v", list, err)
		}
	})
}

// A snapshot that was kept, which nobody could say, is gone on from by the next one; by who has
// loaded another state meanwhile it is not.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, cloud := standIn(t)
		r := mustOpen(t, Config{Place: "s3://states/p", AWS: cloud, Writer: "me"}).Series("")
		put := func() (int64, error) {
			time.Sleep(time.Second)
			generation, _, err := r.Put(t.Context(), 0, Header{Written: time.Now()})
			return generation, err
		}
		loses := func(look int) { // the one after the write
			t.Helper()
			server.Faults().Add(awslocal.Fault{Service: "s3", Action: "ListObjectsV2", Do: awslocal.FaultError, Code: "AccessDenied", Nth: look})
			if _, err := put(); err == nil || errors.Is(err, ErrConflict) {
				t.Fatalf("error %v", err)
			}
			server.Faults().Clear()
		}
		loses(2)
		if generation, err := put(); generation != 2 || err != nil {
			t.Errorf("generation %d, error %v", generation, err)
		}
		if _, err := put(); !errors.Is(err, ErrConflict) {
			t.Errorf("who is behind: error %v", err)
		}
		r = r.store.Series("again")
		for _, look := range []int{2, 3, 3} {
			loses(look)
		}
		if generation, err := put(); generation != 4 || err != nil {
			t.Errorf("after three of them: generation %d, error %v", generation, err)
		}
		r = r.store.Series("others")
		loses(2)
		them := mustOpen(t, Config{Place: "s3://states/p", AWS: cloud, Writer: "somebody else"})
		if _, _, err := them.Series("others").Put(t.Context(), 1, Header{Written: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if _, err := put(); !errors.Is(err, ErrConflict) {
			t.Errorf("where others have gone on from it: error %v", err)
		}
		r = r.store.Series("other")
		loses(2)
		if g := got(t, r); !strings.HasPrefix(g, "1 ") {
			t.Errorf("loaded %s", g)
		}
		if _, err := put(); !errors.Is(err, ErrConflict) {
			t.Errorf("who forgets what was loaded: error %v", err)
		}
	})
}

func TestSeries(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg Config, _ *awslocal.Faults) {
		s := mustOpen(t, cfg)
		one, other := s.Series(""), s.Series("shardId-000000000001")
		if g := got(t, one); g != "none after 0" {
			t.Error(g)
		}
		var after int64
		for i := range 7 {
			var err error
			h := Header{Written: time.Now(), Stream: "logs", Positions: map[string]string{"a": fmt.Sprint(i)}}
			if after, _, err = one.Put(t.Context(), after, h, text("engine", strings.Repeat("x", i)), text("learnt", "")); err != nil {
				t.Fatal(err)
			}
		}
		if g := got(t, one); g != "7 logs map[a:6] engine=xxxxxx learnt=" {
			t.Error(g)
		}
		if _, size, err := other.Put(t.Context(), 0, Header{Stream: "hits"}, text("seen", "1")); err != nil || size < 50 {
			t.Error(size, err)
		}
		if g := got(t, other); g != "1 hits map[] seen=1" {
			t.Error(g)
		}
		if g := got(t, mustOpen(t, cfg).Series("")); g != "7 logs map[a:6] engine=xxxxxx learnt=" {
			t.Error(g)
		}
		names, _, err := s.place.list(t.Context(), "")
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, suffix) })
		if err != nil || len(names) != 3 || names[2] != "00000000000000000007.weir" {
			t.Error(names, err)
		}
		below := func() string {
			list, err := s.Below(t.Context(), "")
			return fmt.Sprint(list, err)
		}
		if b := below(); b != "[shardId-000000000001] <nil>" {
			t.Error(b)
		}
		if kept, err := other.Kept(t.Context()); !kept || err != nil {
			t.Error(kept, err)
		}
		for range 2 { // another task may have done so
			if err := other.Remove(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if kept, err := other.Kept(t.Context()); kept || err != nil || below() != "[] <nil>" {
			t.Error(kept, err, below())
		}
		if g := got(t, one); g != "7 logs map[a:6] engine=xxxxxx learnt=" {
			t.Error(g)
		}
	})
}

// Of those who go on from the same snapshot one is first. Who is far behind does
// not get in where there is a gap by now.
func TestHistoryIsALine(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg Config, _ *awslocal.Faults) {
		a := mustOpen(t, cfg).Series("")
		cfg.Writer = "somebody else"
		b := mustOpen(t, cfg).Series("")
		put := func(r *Series, after int64) error {
			_, _, err := r.Put(t.Context(), after, Header{Written: time.Now()}, text("who", r.store.cfg.Writer))
			return err
		}
		if err := put(a, 0); err != nil {
			t.Fatal(err)
		}
		if err := put(b, 0); !errors.Is(err, ErrConflict) {
			t.Errorf("error = %v", err)
		}
		for after := int64(1); after < 6; after++ {
			if err := put(b, after); err != nil {
				t.Fatal(err)
			}
		}
		for after := range int64(6) {
			if err := put(a, after); !errors.Is(err, ErrConflict) {
				t.Errorf("after %d: error = %v", after, err)
			}
		}
		if g := got(t, a); g != "6  map[] who=somebody else" {
			t.Error(g)
		}
	})
}

// Whatever S3 answers, a snapshot is kept or it is not, and who asks learns which.
func TestTroubleWithABucket(t *testing.T) {
	kinds := []awslocal.FaultKind{
		awslocal.FaultThrottle, awslocal.FaultError, awslocal.FaultErrorAfter, awslocal.FaultReset, awslocal.FaultResetAfter,
		awslocal.FaultHang, awslocal.FaultHangAfter, awslocal.FaultLate,
	}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, cfg := standIn(t)
				s := mustOpen(t, Config{Place: "s3://states/p", AWS: cfg, Writer: "me"})
				r := s.Series("")
				// Once: the client's own second try has an answer.
				server.Faults().Add(awslocal.Fault{Service: "s3", Action: "PutObject", Do: kind, Times: 1, Delay: time.Second})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				h := Header{Written: time.Now()}
				after, _, err := r.Put(ctx, 0, h, text("a", "1"))
				hang := kind == awslocal.FaultHang || kind == awslocal.FaultHangAfter || kind == awslocal.FaultLate
				if (err != nil) != hang {
					t.Fatalf("error = %v", err)
				}
				if err != nil { // it is not known whether it is there: the same one again
					after, _, err = r.Put(t.Context(), 0, h, text("a", "1"))
				}
				if err != nil || after != 1 {
					t.Fatalf("generation %d, error = %v", after, err)
				}
				if g := got(t, r); g != "1  map[] a=1" {
					t.Error(g)
				}
				server.Faults().Add(awslocal.Fault{Service: "s3", Do: awslocal.FaultError, For: time.Minute})
				if _, _, err := r.Put(t.Context(), 1, h, text("a", "2")); err == nil || errors.Is(err, ErrConflict) {
					t.Errorf("error = %v", err)
				}
				_, _, err = r.Latest(t.Context(), func(Header, func() (string, io.Reader, error)) error { return nil })
				if err == nil || errors.Is(err, ErrUnreadable) {
					t.Errorf("error = %v", err)
				}
			})
		})
	}
}

func TestOwnerOfTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cfg := standIn(t)
		s := mustOpen(t, Config{Place: "s3://states/p", AWS: cfg, Owner: "123456789012"})
		if _, _, err := s.Series("").Put(t.Context(), 0, Header{}); err == nil {
			t.Error("a bucket of somebody else was written to")
		}
		s = mustOpen(t, Config{Place: "s3://elsewhere/p", AWS: cfg})
		if _, _, err := s.Series("").Put(t.Context(), 0, Header{}); err == nil || !strings.Contains(err.Error(), "s3://elsewhere/p") {
			t.Errorf("error = %v", err)
		}
	})
}

func TestCheck(t *testing.T) {
	for place, ok := range map[string]bool{
		"/var/lib/weir": true, "state": true, "s3://bucket": true, "s3://my.bucket-1/a/b": true,
		"s3://": false, "s3:///a": false, "s3://UPPER/a": false, "gs://bucket/a": false, "s3://a": false,
	} {
		if err := Check(place); (err == nil) != ok {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// What is damaged is refused and told of, and the one before it is read; what cannot be
// read now is no reason to do without it.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Config{Place: dir})
	r := s.Series("")
	var after int64
	for i := range 3 {
		after, _, _ = r.Put(t.Context(), after, Header{Stream: "logs"}, text("a", fmt.Sprint(i)))
	}
	spoil := func(n int, change func([]byte) []byte) {
		name := filepath.Join(dir, fmt.Sprintf("%020d.weir", n))
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, change(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil(3, func(b []byte) []byte { return b[:len(b)-1] })
	if g := got(t, r); g != "2 logs map[] a=1" {
		t.Error(g)
	}
	spoil(2, func(b []byte) []byte { return append([]byte("WEIRSNAP\x02"), b[9:]...) })
	if g := got(t, r); g != "1 logs map[] a=0" {
		t.Error(g)
	}
	spoil(1, func([]byte) []byte { return nil })
	if g := got(t, r); g != "none after 3" {
		t.Error(g)
	}
	why := s.Refused()
	slices.Sort(why)
	if len(why) != 3 || !strings.Contains(why[0], "00000000000000000001.weir") || !strings.Contains(why[1], "its format is 2, this program reads 1") {
		t.Errorf("%q", why)
	}
	if _, _, err := r.Put(t.Context(), 3, Header{}, text("a", "new")); err != nil {
		t.Fatal(err)
	}
	if g := got(t, r); g != "4  map[] a=new" || len(s.Refused()) != 0 {
		t.Error(g, s.Refused())
	}
	// Content that its reader cannot use is refused like a file that cannot be read.
	var tried []int64
	_, ok, err := r.Latest(t.Context(), func(h Header, _ func() (string, io.Reader, error)) error {
		tried = append(tried, h.Generation)
		return fmt.Errorf("of another stream: %w", ErrUnreadable)
	})
	if ok || err != nil || !slices.Equal(tried, []int64{4}) {
		t.Error(ok, err, tried)
	}
	boom := errors.New("boom")
	if _, _, err = r.Latest(t.Context(), func(Header, func() (string, io.Reader, error)) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error = %v", err)
	}
}

// Of files that cannot be read few are named, and none of them makes a good one go.
func TestManyThatAreDamaged(t *testing.T) {
	core, said := observer.New(zap.ErrorLevel)
	s := mustOpen(t, Config{Place: t.TempDir(), Writer: "me", Logger: zap.New(core)})
	r := s.Series("a/b")
	put := func(after int64) {
		t.Helper()
		if _, _, err := r.Put(t.Context(), after, Header{Stream: "logs", Written: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	left := func() string {
		t.Helper()
		list, err := r.generations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list)
	}
	put(0)
	const last = 40
	for n := int64(2); n <= last; n++ {
		if err := os.WriteFile(filepath.Join(s.cfg.Place, r.file(n)), []byte("WEIRSNAP\x02"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if g := got(t, r); g != "1 logs map[]" {
			t.Error(g)
		}
	}
	if why := s.Refused(); len(why) != maxNamed+1 || !strings.Contains(why[maxNamed], fmt.Sprintf("and %d more in %s", last-1-maxNamed, s.cfg.Place)) {
		t.Errorf("refused: %q", why)
	}
	if said.Len() != maxNamed+1 {
		t.Errorf("%d lines are logged", said.Len())
	}
	put(last)
	put(last + 1)
	if list := left(); !strings.HasSuffix(list, " 2 1]") {
		t.Errorf("left are %s: the third of the good ones is gone", list)
	}
	for n := range int64(5) {
		put(last + 2 + n)
	}
	if list, want := left(), fmt.Sprint([]int{last + 7, last + 6, last + 5}); list != want {
		t.Errorf("left are %s, want %s", list, want)
	}
}

// A disk without hard links is called that.
func TestExplainLink(t *testing.T) {
	if err := explainLink(&os.LinkError{Op: "link", Err: syscall.EPERM}); !strings.Contains(err.Error(), "hard links") || !errors.Is(err, syscall.EPERM) {
		t.Errorf("error = %v", err)
	}
	if err := explainLink(fs.ErrNotExist); err != fs.ErrNotExist {
		t.Errorf("error = %v", err)
	}
}

// What a process that was killed has begun to write is no snapshot, and goes.
func TestUnfinished(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Config{Place: dir})
	name := filepath.Join(dir, unfinished+"1")
	if err := os.WriteFile(name, []byte(magic), 0o600); err != nil {
		t.Fatal(err)
	}
	if g := got(t, s.Series("")); g != "none after 0" {
		t.Error(g)
	}
	old := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	_, _, err := s.Series("").Put(t.Context(), 0, Header{}, Section{"a", func(io.Writer) error { return boom }})
	if !errors.Is(err, boom) {
		t.Errorf("error = %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
}
