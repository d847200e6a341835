package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progresser tells how far a source is, in bytes of its input; a total of 0 is
// unknown.
type progresser interface {
	Progress() (done, total int64)
}

// progressBar is drawn on a terminal; anywhere else it is nothing.
type progressBar struct {
	quit chan struct{}
	wg   sync.WaitGroup
}

func startProgress(out io.Writer, p progresser) *progressBar {
	b := &progressBar{quit: make(chan struct{})}
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return b
	}
	b.wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-b.quit:
				fmt.Fprint(f, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprint(f, "\r", progressLine(p.Progress()), "\x1b[K")
			}
		}
	})
	return b
}

func (b *progressBar) stop() {
	close(b.quit)
	b.wg.Wait()
}

func progressLine(done, total int64) string {
	const width = 40
	if total <= 0 {
		return fmt.Sprintf("%d MiB read", done>>20)
	}
	part := min(1, float64(done)/float64(total))
	full := int(part * width)
	return fmt.Sprintf("[%s%s] %3.0f %%", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*part)
}
