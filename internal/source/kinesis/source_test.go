package kinesis

import (
	"testing"
	"time"
)

func TestReadsEverythingOnce(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		w.add(1000)
		r := w.run(w.note, nil)
		t.Log("all after", w.untilAll(10*time.Second))
		w.trickle(20, 50*time.Millisecond, 10*time.Second)
		w.untilAll(time.Second)
		t.Log("stop took", r.stop())
		w.wantAll(false)
		t.Log(w.rows())
	})
}
