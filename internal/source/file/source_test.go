package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func gzipped(data string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, data)
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return b.String()
}

// write makes a file and returns its name.
func write(t testing.TB, name, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// collector is a handler that keeps copies of the lines, and makes the lines
// themselves unreadable before it returns: nobody may need them any more.
type collector struct {
	lines   []string
	batches int
}

func (c *collector) handle(_ context.Context, lines [][]byte, arrived []time.Time) error {
	if arrived != nil {
		return errors.New("a file knows no arrival")
	}
	if len(lines) == 0 {
		return errors.New("an empty batch")
	}
	c.batches++
	for _, line := range lines {
		if cap(line) != len(line) {
			return errors.New("a line that can be appended to")
		}
		c.lines = append(c.lines, string(line))
		for i := range line {
			line[i] = '!'
		}
	}
	return nil
}

// linesTwin is what the lines of data are, in the standard library's view.
func linesTwin(data string, longest int) (lines []string) {
	scanner := bufio.NewScanner(strings.NewReader(data))
	scanner.Buffer(nil, len(data)+1)
	for scanner.Scan() {
		line := scanner.Text()
		lines = append(lines, line[:min(len(line), longest+1)])
	}
	return lines
}

func TestRun(t *testing.T) {
	text := "a\nbb\n\nccc\r\n\r\nd\re\r\r\nlast"
	want := []string{"a", "bb", "", "ccc", "", "d\re\r", "last"}
	for name, data := range map[string]string{
		"plain.txt":       text,
		"plain-but.gz":    text,
		"compressed.gz":   gzipped(text),
		"compressed.txt":  gzipped(text),
		"members.gz":      gzipped("a\nb") + gzipped("b\n\nccc\r") + gzipped("") + gzipped("\n\r\nd\re\r\r\nlast"),
		"uncompressed.gz": text,
	} {
		t.Run(name, func(t *testing.T) {
			var c collector
			s := New(write(t, name, data))
			if done, total := s.Progress(); done != 0 || total != 0 {
				t.Errorf("progress before: %d of %d", done, total)
			}
			if err := s.Run(t.Context(), c.handle); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(c.lines, want) {
				t.Errorf("got %q, want %q", c.lines, want)
			}
			if done, total := s.Progress(); int(done) != len(data) || int(total) != len(data) {
				t.Errorf("progress after: %d of %d, want %d", done, total, len(data))
			}
		})
	}
}

func TestRunSeveral(t *testing.T) {
	var c collector
	s := New(write(t, "1", "a\nb"), "-", write(t, "2", gzipped("e\nf\n")), write(t, "3", ""), write(t, "4", "g"))
	s.Stdin = strings.NewReader(gzipped("c\nd\n"))
	var begun []string // names, and how many lines went before
	s.Begin = func(name string) { begun = append(begun, filepath.Base(name), fmt.Sprint(len(c.lines))) }
	if err := s.Run(t.Context(), c.handle); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c", "d", "e", "f", "g"}; !slices.Equal(c.lines, want) {
		t.Errorf("got %q, want %q", c.lines, want)
	}
	if want := []string{"1", "0", "-", "2", "2", "4", "3", "6", "4", "6"}; !slices.Equal(begun, want) {
		t.Errorf("inputs began as %q, want %q", begun, want)
	}
	if done, total := s.Progress(); done == 0 || total != 0 {
		t.Errorf("progress %d of %d: with standard input, nobody knows how much there is", done, total)
	}
}

func TestRunNothing(t *testing.T) {
	for name, s := range map[string]*Source{
		"no file":     New(),
		"empty file":  New(write(t, "empty", "")),
		"empty gzip":  New(write(t, "empty", gzipped(""))),
		"empty input": {names: []string{"-"}, Stdin: strings.NewReader(""), limits: New().limits},
	} {
		var c collector
		if err := s.Run(t.Context(), c.handle); err != nil || c.batches != 0 {
			t.Errorf("%s: %v, %d batches", name, err, c.batches)
		}
	}
}

// tight are limits that a few dozen bytes run into.
func tight(t *rapid.T) limits {
	l := limits{
		line:  rapid.IntRange(1, 20).Draw(t, "line"),
		lines: rapid.IntRange(1, 5).Draw(t, "lines"),
		read:  rapid.IntRange(1, 8).Draw(t, "read"),
	}
	l.text = l.line + 2 + l.read + rapid.IntRange(0, 30).Draw(t, "spare")
	return l
}

// oddReader returns as many bytes at a time as its sizes say, over and over.
type oddReader struct {
	in    io.Reader
	sizes []int
}

func (r *oddReader) Read(p []byte) (int, error) {
	n := r.sizes[0]
	r.sizes = append(r.sizes[1:], n)
	return r.in.Read(p[:min(n, len(p))])
}

func drawText(t *rapid.T) string {
	return rapid.OneOf(
		rapid.StringMatching("[ab\r\n]{0,120}"),
		rapid.StringMatching("([a-z]{0,40}\r?\n){0,8}[a-z]{0,40}\r?"),
	).Draw(t, "text")
}

func TestLinesTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		in := text
		if rapid.Bool().Draw(t, "gzip") {
			cut := rapid.IntRange(0, len(text)).Draw(t, "member")
			in = gzipped(text[:cut]) + gzipped(text[cut:])
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 30), 1, 5).Draw(t, "sizes")
		s := &Source{names: []string{"-"}, Stdin: &oddReader{strings.NewReader(in), sizes}, limits: tight(t)}
		var c collector
		if err := s.Run(t.Context(), c.handle); err != nil {
			t.Fatal(err)
		}
		if want := linesTwin(text, s.limits.line); !slices.Equal(c.lines, want) {
			t.Fatalf("got %q, want %q", c.lines, want)
		}
	})
}

// A handler that fails has had every line up to and with those it failed on, in order,
// and gets no more.
func TestHandleFails(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		texts := []string{drawText(t), drawText(t)}
		s := &Source{limits: tight(t)}
		var want []string
		for i, text := range texts {
			name := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s.names = append(s.names, name)
			want = append(want, linesTwin(text, s.limits.line)...)
		}
		failAt := rapid.IntRange(1, 20).Draw(t, "fail at")
		refused := errors.New("refused")
		var c collector
		err := s.Run(t.Context(), func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			if c.batches == failAt {
				t.Fatal("called again after an error")
			}
			if len(lines) > s.limits.lines {
				t.Fatalf("%d lines in a batch", len(lines))
			}
			if err := c.handle(ctx, lines, arrived); err != nil {
				return err
			}
			if c.batches == failAt {
				return refused
			}
			return nil
		})
		if c.batches < failAt {
			if err != nil || !slices.Equal(c.lines, want) {
				t.Fatalf("%v, got %q, want %q", err, c.lines, want)
			}
			return
		}
		if !errors.Is(err, refused) || !strings.HasPrefix(err.Error(), "handle lines of "+dir) {
			t.Fatalf("got error %v", err)
		}
		if len(c.lines) > len(want) || !slices.Equal(c.lines, want[:len(c.lines)]) {
			t.Fatalf("got %q, want the beginning of %q", c.lines, want)
		}
	})
}

func TestNoSuchFile(t *testing.T) {
	dir := t.TempDir()
	there, gone := write(t, "there", "a\n"), filepath.Join(dir, "gone")
	var c collector
	err := New(there, gone, dir).Run(t.Context(), c.handle)
	want := fmt.Sprintf("read lines: stat %s: no such file or directory\nread lines: %s is a directory", gone, dir)
	if err == nil || err.Error() != want || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %s", err, want)
	}
	if c.batches != 0 {
		t.Error("lines were handled although a file is missing")
	}
}

// Of a damaged file everything readable is handed over, then the error says what is
// wrong and where.
func TestDamagedGzip(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "line %d of a file that will be damaged\n", i)
	}
	whole := gzipped(text.String())
	flipped := []byte(whole)
	flipped[len(flipped)-5] ^= 0xff // in the checksum: all of the text is readable
	all := linesTwin(text.String(), MaxLine)
	for _, c := range []struct {
		name, data string
		lines      int // at least
		want       error
	}{
		{"header only", whole[:5], 0, io.ErrUnexpectedEOF},
		{"half", whole[:len(whole)/2], 1000, io.ErrUnexpectedEOF},
		{"no checksum", whole[:len(whole)-8], 3000, io.ErrUnexpectedEOF},
		{"wrong checksum", string(flipped), 3000, gzip.ErrChecksum},
		{"trailing garbage", whole + "garbage, and much of it", 3000, gzip.ErrHeader},
		{"second member cut", whole + whole[:len(whole)/2], 4000, io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got collector
			path := write(t, "damaged.gz", c.data)
			err := New(path, path).Run(t.Context(), got.handle)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			want := fmt.Sprintf("read %s: stopped after %d bytes and %d lines: %v", path, len(c.data), len(got.lines), c.want)
			if err.Error() != want {
				t.Errorf("got  %v\nwant %v", err, want)
			}
			if len(got.lines) < c.lines {
				t.Errorf("%d lines, want at least %d", len(got.lines), c.lines)
			}
			for i, line := range got.lines {
				full := all[i%len(all)]
				if line != full && (i+1 != len(got.lines) || !strings.HasPrefix(full, line)) {
					t.Fatalf("line %d is %q, want %q", i, line, full)
				}
			}
		})
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	s := New("-")
	s.Stdin = io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken))
	var c collector
	err := s.Run(t.Context(), c.handle)
	if !errors.Is(err, broken) || err.Error() != "read standard input: stopped after 3 bytes and 2 lines: disk on fire" {
		t.Errorf("got %v", err)
	}
	if want := []string{"a", "b"}; !slices.Equal(c.lines, want) {
		t.Errorf("got %q, want %q", c.lines, want)
	}
}

// The end of ctx ends Run between two batches, in the middle of a text or not.
func TestCancelWhileHandling(t *testing.T) {
	for _, batches := range []int{1, 2, 3} {
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped by a test")
		path := write(t, "long", strings.Repeat("line\n", 20_000))
		var c collector
		err := New(path).Run(ctx, func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			err := c.handle(ctx, lines, arrived)
			if c.batches == batches {
				cancel(stopped)
			}
			return err
		})
		if !errors.Is(err, stopped) || err.Error() != "read "+path+": stopped by a test" {
			t.Errorf("got %v", err)
		}
		if c.batches != batches {
			t.Errorf("%d batches, want %d", c.batches, batches)
		}
	}
}

// A cancelled Run does not wait for an input that has nothing to say.
func TestCancelWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		s := New("-")
		s.Stdin = in
		var c collector
		var err error
		returned := false
		go func() {
			err = s.Run(ctx, c.handle)
			returned = true
		}()
		if _, err := io.WriteString(out, "a\nb"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []string{"a"}; returned || !slices.Equal(c.lines, want) {
			t.Errorf("got %q (returned: %v), want %q", c.lines, returned, want)
		}
		cancel()
		synctest.Wait()
		if !returned || !errors.Is(err, context.Canceled) {
			t.Errorf("returned: %v, %v", returned, err)
		}
		out.Close() // ends what was left behind
	})
}

// What comes through a pipe is handed over line by line, not when enough has come.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		s := New("-")
		s.Stdin = in
		var c collector
		done := make(chan error)
		go func() { done <- s.Run(t.Context(), c.handle) }()
		for i, step := range []struct {
			text string
			want string
		}{
			{"begi", ""},
			{"n\n", "begin"},
			{"two\nlines\nand", "begin two lines"},
			{" more\r\n", "begin two lines and more"},
		} {
			if _, err := io.WriteString(out, step.text); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := strings.Join(c.lines, " "); got != step.want {
				t.Errorf("step %d: got %q, want %q", i, got, step.want)
			}
		}
		out.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// While a batch is handled the next is read, but no more than fits the memory.
func TestReadsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, "long", strings.Repeat("line\n", 4<<20))
		s := New(path)
		hold := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- s.Run(t.Context(), func(context.Context, [][]byte, []time.Time) error {
				<-hold
				return nil
			})
		}()
		synctest.Wait()
		read, _ := s.Progress()
		if text := int64(s.limits.text); read < text || read > 3*text {
			t.Errorf("%d bytes read, want between one text of %d and three", read, text)
		}
		close(hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// endless is a line of so many bytes.
type endless struct{ left int }

var xs = bytes.Repeat([]byte{'x'}, 64<<10)

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(e.left, len(p))], xs)
	e.left -= n
	return n, nil
}

// A line without end costs no memory, and is told apart from the lines around it.
func TestEndlessLine(t *testing.T) {
	const length = 100 << 20
	s := New("-")
	s.Stdin = io.MultiReader(strings.NewReader("before\n"), &endless{left: length}, strings.NewReader("\nafter\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var c collector
	if err := s.Run(t.Context(), c.handle); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if len(c.lines) != 3 || c.lines[0] != "before" || c.lines[2] != "after" {
		t.Fatalf("%d lines", len(c.lines))
	}
	if long := c.lines[1]; len(long) != MaxLine+1 || strings.Trim(long, "x") != "" {
		t.Errorf("%d bytes of the long line, want %d", len(long), MaxLine+1)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("%d bytes allocated for a line of %d", got, length)
	}
}

func TestLineLengths(t *testing.T) {
	for _, end := range []string{"", "\n", "\r\n"} {
		for _, over := range []int{-1, 0, 1, 2, 3, 100_000, MaxLine} {
			data := strings.Repeat("x", MaxLine+over) + end + "next"
			if end == "" {
				data = strings.TrimSuffix(data, "next")
			}
			var c collector
			if err := New(write(t, "long", data)).Run(t.Context(), c.handle); err != nil {
				t.Fatal(err)
			}
			want := linesTwin(data, MaxLine)
			if !slices.Equal(c.lines, want) {
				t.Errorf("%+d %q: %d lines, the first of %d bytes, want %d lines", over, end, len(c.lines), len(c.lines[0]), len(want))
			}
		}
	}
}

// Many short lines come in many batches, which all have room for as many lines.
func TestBatches(t *testing.T) {
	const n = 100_000
	for _, line := range []string{"\n", "short\n"} {
		var c collector
		s := New(write(t, "short", strings.Repeat(line, n)))
		if err := s.Run(t.Context(), c.handle); err != nil {
			t.Fatal(err)
		}
		if want := (n + s.limits.lines - 1) / s.limits.lines; len(c.lines) != n || c.batches != want {
			t.Errorf("%q: %d lines in %d batches, want %d in %d", line, len(c.lines), c.batches, n, want)
		}
	}
}

func TestProgressWhileRunning(t *testing.T) {
	path := write(t, "long", strings.Repeat("a line of some length\n", 1<<18))
	s := New(path, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	quit := make(chan struct{})
	wg.Go(func() {
		last := int64(0)
		for {
			done, total := s.Progress()
			if done < last || total != 0 && total != 2*info.Size() || total != 0 && done > total {
				t.Errorf("progress %d of %d, after %d", done, total, last)
			}
			last = done
			select {
			case <-quit:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	err = s.Run(t.Context(), func(context.Context, [][]byte, []time.Time) error { return nil })
	close(quit)
	wg.Wait()
	if done, total := s.Progress(); err != nil || done != total || total != 2*info.Size() {
		t.Errorf("%v, %d of %d", err, done, total)
	}
	// A second run begins again.
	if err := s.Run(t.Context(), func(context.Context, [][]byte, []time.Time) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if done, total := s.Progress(); done != total || total != 2*info.Size() {
		t.Errorf("second run: %d of %d", done, total)
	}
}

func FuzzRun(f *testing.F) {
	f.Add([]byte("a\nb\r\n\r\nlong line\n"), uint8(3), uint8(2))
	f.Add([]byte(gzipped("a\nb\n")), uint8(1), uint8(1))
	f.Add([]byte("\x1f\x8b\x08"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, line, read uint8) {
		l := limits{line: int(line) + 1, lines: 3, read: int(read) + 1}
		l.text = l.line + l.read + 2
		s := &Source{names: []string{"-"}, Stdin: bytes.NewReader(data), limits: l}
		var c collector
		err := s.Run(t.Context(), c.handle)
		text := data
		if bytes.HasPrefix(data, []byte("\x1f\x8b\x08")) {
			text = nil
			var twinErr error
			z, twinErr := gzip.NewReader(bytes.NewReader(data))
			if twinErr == nil {
				text, twinErr = io.ReadAll(z)
			}
			if (err == nil) != (twinErr == nil) || !errors.Is(err, twinErr) {
				t.Fatalf("got %v, want %v", err, twinErr)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		if want := linesTwin(string(text), l.line); !slices.Equal(c.lines, want) {
			t.Fatalf("got %q, want %q", c.lines, want)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	line := strings.Repeat("x", 657) + "\n"
	text := strings.Repeat(line, 20_000)
	for name, data := range map[string]string{"plain": text, "gzip": gzipped(text)} {
		b.Run(name, func(b *testing.B) {
			path := write(b, "log", data)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := New(path).Run(b.Context(), func(context.Context, [][]byte, []time.Time) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
