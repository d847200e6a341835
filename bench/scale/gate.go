package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A gate stands before the stand-ins. It keeps records from the tasks of a role until it
// is opened to them, and knows what they have read, so that they need not be asked while
// they are measured: to tell its metrics costs a task as much as two thousand records.
type gate struct {
	server http.Handler
	hold   time.Duration // for which a read of a role that it is shut to goes unanswered

	mu   sync.Mutex
	open map[string]chan struct{} // by role: closed when it is open to it; nil = shut, and nobody asked yet
	read map[string]*reads
}

// reads are the pages that were not empty, of all tasks of a role.
type reads struct {
	bytes int       // of the answers
	last  time.Time // when the latest was
}

func newGate(server http.Handler, hold time.Duration) *gate {
	return &gate{server: server, hold: hold, open: make(map[string]chan struct{}), read: make(map[string]*reads)}
}

// way returns what is closed when the gate is open to a role.
func (g *gate) way(role string) chan struct{} {
	if g.open[role] == nil {
		g.open[role] = make(chan struct{})
	}
	return g.open[role]
}

// lift opens the gate to a role.
func (g *gate) lift(role string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.way(role))
}

// shut shuts the gate to a role that it is open to.
func (g *gate) shut(role string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[role] = nil
}

// reads tells what the tasks of a role have read.
func (g *gate) reads(role string) reads {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.read[role]; r != nil {
		return *r
	}
	return reads{}
}

// roleOf reads the role from the access key, which begins with it.
func roleOf(r *http.Request) string {
	_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	role, _, _ := strings.Cut(key, "-")
	return role
}

// smallPage is the size of an answer, in bytes, below which it has no records.
const smallPage = 600

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
		g.server.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the task is gone
	}
	role := roleOf(r)
	g.mu.Lock()
	way := g.way(role)
	g.mu.Unlock()
	timer := time.NewTimer(g.hold)
	defer timer.Stop()
	select {
	case <-way:
	case <-r.Context().Done():
		return
	case <-timer.C:
		emptyPage(w, body)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	counted := &counter{ResponseWriter: w}
	g.server.ServeHTTP(counted, r)
	if counted.bytes < smallPage {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.read[role] == nil {
		g.read[role] = &reads{}
	}
	n := g.read[role]
	n.bytes, n.last = n.bytes+counted.bytes, time.Now()
}

// emptyPage answers a GetRecords as if there were nothing to read.
func emptyPage(w http.ResponseWriter, request []byte) {
	var in struct{ ShardIterator string }
	if err := json.Unmarshal(request, &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]any{"MillisBehindLatest": 0, "NextShardIterator": in.ShardIterator, "Records": []any{}}) // the task may be gone
}

// A counter counts the bytes of an answer.
type counter struct {
	http.ResponseWriter
	bytes int
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += n
	return n, err
}
