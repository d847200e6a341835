package pipeline

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"weir/internal/cloudfront"
)

// complaints are about lines that cannot be read: one log line a minute at the
// most, since whoever sends a bad line can send a million. A field list that
// does not fit the real-time log configuration shows here first; without it
// every line would be dropped in silence.
type complaints struct {
	log     *zap.Logger
	columns int // that a line should have

	mu       sync.Mutex
	since    time.Time // of the last log line; zero: there was none
	lines    int
	rejected [len(tally{}.rejected)]int
}

const complainEvery = time.Minute

// note adds what one Handle call rejected, and logs when it is time.
func (c *complaints) note(t *tally) {
	n := 0
	for _, k := range t.rejected {
		n += k
	}
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines += n
	for reason, k := range t.rejected {
		c.rejected[reason] += k
	}
	if now := time.Now(); c.since.IsZero() || now.Sub(c.since) >= complainEvery {
		c.say()
		c.since, c.lines, c.rejected = now, 0, [len(tally{}.rejected)]int{}
	}
}

func (c *complaints) say() {
	args := []zap.Field{zap.Int("lines", c.lines), zap.Int("columns_wanted", c.columns)}
	for _, reason := range cloudfront.RejectReasons() {
		if n := c.rejected[reason]; n > 0 {
			args = append(args, zap.Int(reason.String(), n))
		}
	}
	text := "log lines cannot be read and are dropped"
	if c.rejected[cloudfront.RejectColumns] > c.lines/2 {
		text += ": does WEIR_LOG_FIELDS list the fields of the real-time log configuration?"
	}
	c.log.Warn(text, args...)
}
