package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A handover is what becomes of a task's shards when it is told to stop.
type handover struct {
	key     string          // access key of that task
	ended   bool            // its process has
	open    map[string]bool // shards that it read, and nobody reads yet
	resumed time.Time       // when the latest of the others was read again; zero = it read none
}

// leaves begins to watch the shards of a task that is told to stop.
func (g *gate) leaves(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaving = &handover{key: key, open: make(map[string]bool)}
	for shard, reader := range g.readers {
		if reader == key {
			g.leaving.open[shard] = true
		}
	}
}

// ended notes that the process has ended: who has its access key now is its successor.
func (g *gate) ended() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaving.ended = true
}

// taken reports whether all shards of the task are read again, and since when; zero: it
// had none.
func (g *gate) taken() (since time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leaving.resumed, len(g.leaving.open) == 0
}

// took notes that a task begins to read a shard.
func (g *gate) took(key, shard string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.readers[shard] = key
	if h := g.leaving; h != nil && h.open[shard] && (key != h.key || h.ended) {
		delete(h.open, shard)
		h.resumed = time.Now()
	}
}

// shardOf names the shard of which a call wants to read, and leaves the call as it is.
func shardOf(r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct{ StreamName, StreamARN, ShardId string }
	if err != nil || json.Unmarshal(body, &in) != nil {
		return "" // the task died while it called
	}
	return in.StreamName + in.StreamARN + " " + in.ShardId
}

// An exit is how a process ended.
type exit struct {
	code int
	at   time.Time
}

// A departure is a task that was told to stop.
type departure struct {
	task *task
	told time.Time
	exit <-chan exit
	over time.Time // when the process ended; zero = it has not
}

// calm reports whether all tasks serve, and nothing is left to recover from.
func (t *town) calm() bool {
	for _, task := range t.tasks {
		task.mu.Lock()
		serves := task.api != ""
		task.mu.Unlock()
		if !serves {
			return false
		}
	}
	return len(t.canaries) == 0
}

// dismiss tells a task to stop.
func (t *town) dismiss(who *task) error {
	t.gate.leaves(who.name)
	ended, err := who.signal()
	if err != nil {
		return err
	}
	t.leaving = &departure{task: who, told: time.Now(), exit: ended}
	return nil
}

// leave looks after a task that was told to stop, and reports whether that is over: it has
// ended as it should, and others read on, or the one that was started in its place does.
func (t *town) leave(now time.Time) (over bool, err error) {
	d := t.leaving
	select {
	case e := <-d.exit:
		if e.code != 0 {
			return false, fmt.Errorf("%s ended with %d, %v after SIGTERM", d.task.name, e.code, e.at.Sub(d.told))
		}
		d.over = e.at
		t.gate.ended()
		t.stops = append(t.stops, e.at.Sub(d.told).Seconds())
	default:
	}
	since, ok := t.gate.taken()
	switch {
	case !d.over.IsZero() && ok:
	case now.Sub(d.told) > patience:
		return false, fmt.Errorf("%v after SIGTERM %s has not ended, or its shards are not read", patience, d.task.name)
	default:
		return false, nil
	}
	t.leaving = nil
	text := "it read nothing"
	if !since.IsZero() {
		from := d.told
		if len(t.tasks) == 1 { // nobody could read before another process was there
			d.task.mu.Lock()
			from = d.task.serves
			d.task.mu.Unlock()
		}
		t.resumes = append(t.resumes, max(0, since.Sub(from).Seconds()))
		text = fmt.Sprintf("read on after %.1f s", t.resumes[len(t.resumes)-1])
	}
	fmt.Printf("%s: %s stopped in %.1f s, %s\n", t.setup.name, d.task.name, t.stops[len(t.stops)-1], text)
	return true, nil
}
