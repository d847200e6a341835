// Package file reads lines from files and from standard input, for replays and tests.
//
// It keeps the promise of every source: handle is called with one batch after the
// other, in order; nil means that a batch is done with, and its memory is used again;
// an error ends the run. When Run returns, no call is in flight and none will follow.
//
// A goroutine reads and decompresses the next lines (reader.go) while the last ones are
// handled, in memory of a fixed size, however long the lines are.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// MaxLine is the length in bytes up to which a line is handed over whole, twice what
// any record of a stream can have. Of a longer one the first MaxLine+1 bytes are handed
// over, so that a parser with a limit of its own sees that it is too long.
const MaxLine = 2 << 20

// Handle takes a batch of lines, without their line breaks. The arrival in a stream is
// not known from a file: arrived is nil. The lines are the source's again when Handle
// returns.
type Handle = func(ctx context.Context, lines [][]byte, arrived []time.Time) error

// Source reads files one after the other, plain or gzip. It must not be copied.
type Source struct {
	// Stdin is what "-" stands for; nil is os.Stdin. A read from it that blocks cannot be
	// broken off: when Run is cancelled it is left behind, and what it gets is lost.
	Stdin io.Reader
	// Begin, unless it is nil, is told the name of each input before its first batch is
	// handled, by the goroutine that handles it.
	Begin func(name string)

	names       []string
	limits      limits
	done, total atomic.Int64 // bytes
}

// New returns a source that reads the named files in this order; "-" is standard
// input. What is gzip is known by its content, not by its name.
func New(names ...string) *Source {
	return &Source{names: names, limits: limits{
		line:  MaxLine,
		lines: 4096,
		read:  64 << 10,
		text:  2*MaxLine + 64<<10,
	}}
}

// Progress returns how many bytes of the files, as they are stored, were read, and how
// many there are. total is 0 before Run and when nobody knows, as with a pipe. Any
// goroutine may call it at any time.
func (s *Source) Progress() (done, total int64) { return s.done.Load(), s.total.Load() }

// Run hands every line of every file to handle and returns nil when handle has done so
// for all of them. A '\r' before a line break belongs to it; the last line needs none.
//
// An error names its file. It is what handle returned, and then nothing more is handed
// over; or what reading met, and then all that could be read has been handed over; or the
// cause of ctx, which ends Run between two batches. If a file does not exist, that is
// told before anything is read.
func (s *Source) Run(ctx context.Context, handle Handle) error {
	total, err := s.size()
	if err != nil {
		return err
	}
	s.done.Store(0)
	s.total.Store(total)
	memory := newBuffers(s.limits)
	for _, name := range s.names {
		if s.Begin != nil {
			s.Begin(name)
		}
		if err := s.runFile(ctx, name, memory, handle); err != nil {
			return err
		}
	}
	return nil
}

// size returns how many bytes there are to read, or 0 if that cannot be known. Its
// error names every file that cannot be read.
func (s *Source) size() (total int64, err error) {
	known := true
	var errs []error
	for _, name := range s.names {
		if name == "-" {
			known = false
			continue
		}
		switch info, err := os.Stat(name); {
		case err != nil:
			errs = append(errs, fmt.Errorf("read lines: %w", err))
		case info.IsDir():
			errs = append(errs, fmt.Errorf("read lines: %s is a directory", name))
		default:
			known = known && info.Mode().IsRegular()
			total += info.Size()
		}
	}
	if !known {
		total = 0
	}
	return total, errors.Join(errs...)
}

func (s *Source) runFile(ctx context.Context, name string, memory buffers, handle Handle) error {
	if name == "-" {
		in := s.Stdin
		if in == nil {
			in = os.Stdin
		}
		r := s.startReader(ctx, in, true, memory)
		defer r.stop()
		return r.handleAll(ctx, "standard input", handle)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("read lines: %w", err), f.Close())
	}
	r := s.startReader(ctx, f, !info.Mode().IsRegular(), memory)
	defer func() {
		r.stop()
		_ = f.Close() // also wakes a reader that waits for a pipe; nothing was written
		<-r.ended
	}()
	return r.handleAll(ctx, name, handle)
}

// handleAll hands over what the reader reads and returns when all of it is handled.
func (r *reader) handleAll(ctx context.Context, name string, handle Handle) error {
	lines := 0
	batch := make([][]byte, 0, r.limits.lines)
	for {
		text, err := r.next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("read %s: stopped after %d bytes and %d lines: %w", name, r.in.n, lines, err)
		}
		for rest := text; len(rest) > 0 && ctx.Err() == nil; {
			batch, rest = r.cut(batch[:0], rest)
			if err := handle(ctx, batch, nil); err != nil {
				return fmt.Errorf("handle lines of %s: %w", name, err)
			}
			lines += len(batch)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("read %s: %w", name, context.Cause(ctx))
		}
		r.giveBack(text)
	}
}
