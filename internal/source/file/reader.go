package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"sync/atomic"
)

// limits are sizes in bytes, and one in lines. They are fields so that tests can
// meet every boundary.
type limits struct {
	line  int // the longest line that is handed over whole
	lines int // lines of a batch
	read  int // the least that a read has room for
	text  int // what is handed over to be handled, at least line+read+2
}

// buffers are the two that text is read into: one while the other is handled.
type buffers [2][]byte

func newBuffers(l limits) (b buffers) {
	for i := range b {
		b[i] = make([]byte, l.text)
	}
	return b
}

// reader reads one input in a goroutine of its own and hands it over as text: whole
// lines with their line breaks, of which only the very last may lack its own.
type reader struct {
	limits limits
	in     *countingReader
	live   bool // what follows may be long in coming: hand over what there is

	full  chan []byte // text to be handled; closed at the end of the input
	free  chan []byte // memory of text that was handled
	stop  context.CancelFunc
	ended chan struct{} // closed when the goroutine is gone
	err   error         // why the input ended, if not well; set before full is closed
}

// startReader starts to read in. The caller must stop the reader, and if it can close
// in, do so and wait until the reader has ended.
func (s *Source) startReader(ctx context.Context, in io.Reader, live bool, memory buffers) *reader {
	r := &reader{
		limits: s.limits,
		in:     &countingReader{in: in, all: &s.done},
		live:   live,
		full:   make(chan []byte),
		free:   make(chan []byte, len(memory)),
		ended:  make(chan struct{}),
	}
	for _, b := range memory {
		r.free <- b
	}
	ctx, r.stop = context.WithCancel(ctx)
	go func() {
		defer close(r.ended)
		defer close(r.full)
		if err := r.run(ctx); err != io.EOF {
			r.err = err
		}
	}()
	return r
}

// next waits for text. The error is io.EOF when everything was handed over.
func (r *reader) next(ctx context.Context) ([]byte, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case text, more := <-r.full:
		switch {
		case more:
			return text, nil
		case r.err != nil:
			return nil, r.err
		}
		return nil, io.EOF
	}
}

// giveBack lets the memory of text, which was handled, be used again.
func (r *reader) giveBack(text []byte) { r.free <- text[:cap(text)] }

// run hands over the input to its end. It returns why it ended, io.EOF if well.
func (r *reader) run(ctx context.Context) error {
	in, err := decompress(r.in, r.limits.read)
	if err != nil {
		return err
	}
	buf := <-r.free
	n := 0            // bytes of buf in use
	whole := 0        // of them, those of whole lines
	skipping := false // within a line whose beginning was too long already
	var partial []byte
	for {
		got, err := in.Read(buf[n:])
		more := buf[n : n+got]
		if skipping {
			_, after, found := bytes.Cut(more, []byte{'\n'})
			more = buf[n : n+copy(more, after)]
			skipping = !found
		}
		if i := bytes.LastIndexByte(more, '\n'); i >= 0 {
			whole = n + i + 1
		}
		n += len(more)
		// Two bytes more than fit may still be one and a '\r'. With three, the line is ended
		// here, and cut shortens it.
		if too := r.limits.line + 2; n-whole > too {
			buf[whole+too] = '\n'
			whole += too + 1
			n, skipping = whole, true
		}
		if err != nil {
			if n > 0 && !r.handOver(ctx, buf[:n]) {
				return context.Cause(ctx)
			}
			return err
		}
		if len(buf)-n >= r.limits.read && (!r.live || whole == 0) {
			continue
		}
		partial = append(partial[:0], buf[whole:n]...)
		if !r.handOver(ctx, buf[:whole]) {
			return context.Cause(ctx)
		}
		select {
		case buf = <-r.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		n, whole = copy(buf, partial), 0
	}
}

// handOver waits until text is taken to be handled. It returns false if ctx ends first.
func (r *reader) handOver(ctx context.Context, text []byte) bool {
	select {
	case r.full <- text:
		return true
	case <-ctx.Done():
		return false
	}
}

// cut appends the lines at the beginning of text to batch, up to its capacity, and
// returns it with the rest of text.
func (r *reader) cut(batch [][]byte, text []byte) (lines [][]byte, rest []byte) {
	for len(text) > 0 && len(batch) < cap(batch) {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		line = line[:min(len(line), r.limits.line+1)]
		batch = append(batch, line[:len(line):len(line)])
	}
	return batch, text
}

// decompress returns what in holds: itself, or what it is the gzip of.
func decompress(in io.Reader, size int) (io.Reader, error) {
	b := bufio.NewReaderSize(in, size)
	// An error is no concern here: what is too short for a header is no gzip, and the
	// next read meets the error again.
	if head, _ := b.Peek(3); string(head) == "\x1f\x8b\x08" {
		return gzip.NewReader(b)
	}
	return b, nil
}

// countingReader counts the bytes that were read from in.
type countingReader struct {
	in  io.Reader
	n   int64
	all *atomic.Int64 // of all inputs together
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	c.all.Add(int64(n))
	return n, err
}
