package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"weir/internal/traffic"
)

// A workload is what one case is of.
type workload struct {
	name    string
	shards  int // of CloudFront's stream
	clients int
	short   bool // lines of few columns, many in a record
	beside  bool // shown, and not held against the others

	// Tasks of each role; none that ingest: a single task does everything.
	ingest, detect int

	between int // shards of the stream between tasks; 0: there is none, and the state is not kept
}

// shortFields are the columns of a short line.
var shortFields = []string{
	"timestamp", "c-ip", "sc-status", "cs-method", "cs-host", "cs-uri-stem", "x-edge-request-id", "cs-protocol-version", "cs-user-agent",
}

func (w *workload) fields() []string {
	if w.short {
		return shortFields
	}
	return traffic.Fields
}

// perRecord is how many lines a record of the stream holds.
func (w *workload) perRecord() int {
	if w.short {
		return 20
	}
	return 1
}

// span is in what event time the requests are made: long enough for few of even a
// thousand clients to be banned, since the banned cost next to nothing.
const span = 2 * time.Hour

// make makes n lines, one after the other, and hands over each. Every client makes a
// first request before anyone makes a second. The line is the caller's until emit returns.
func (w *workload) make(n int, emit func(line []byte) error) error {
	templates, columns := w.templates()
	ip, id, at := slices.Index(columns, "c-ip"), slices.Index(columns, "x-edge-request-id"), slices.Index(columns, "timestamp")
	rnd := rand.New(rand.NewPCG(1, 8))
	begin := time.Now().Add(-span)
	var line []byte
	for i := range n {
		client := i
		if i >= w.clients {
			client = rnd.IntN(w.clients)
		}
		made := begin.Add(time.Duration(float64(span) * float64(i) / float64(n))).UnixMilli()
		line = line[:0]
		for c, column := range templates[rnd.IntN(len(templates))] {
			if c > 0 {
				line = append(line, '\t')
			}
			switch c {
			case ip:
				line = addressOf(client).AppendTo(line)
			case id:
				line = strconv.AppendInt(append(line, "request-"...), int64(i), 36)
			case at:
				line = fmt.Appendf(line, "%d.%03d", made/1000, made%1000)
			default:
				line = append(line, column...)
			}
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	return nil
}

// addressOf spreads clients over networks, as the internet does.
func addressOf(client int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x2d000000+uint32(client)*0x9e3779b1>>3&0x1fffffff)
	return netip.AddrFrom4(b)
}

// templates are lines of healthy visitors, cut into columns.
func (w *workload) templates() (list [][][]byte, columns []string) {
	columns = w.fields()
	start := time.Now().Add(-time.Hour)
	mix := traffic.New(traffic.Config{Seed: 3, Fields: columns, Start: start, Rate: 500, Spread: 10 * time.Hour})
	mix.Until(start.Add(10*time.Second), func(line []byte) { list = append(list, bytes.Split(bytes.Clone(line), []byte{'\t'})) })
	return list, columns
}
