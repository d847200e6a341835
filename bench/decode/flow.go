package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/pipeline"
	"weir/internal/scenario"
	"weir/internal/traffic"
)

// madeLog has 40 seconds of 3000 requests each, in which nine of ten are healthy.
func madeLog() (lines [][]byte) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	mix := traffic.New(traffic.Config{Seed: 1, Start: start, Rate: 3000, Spread: 20 * time.Second})
	mix.Until(start.Add(40*time.Second), func(line []byte) { lines = append(lines, bytes.Clone(line)) })
	return lines
}

// flow is the way from a line to a decision in memory, as the service has it.
type flow struct {
	*pipeline.Pipeline
	close func()
}

func newFlow(ctx context.Context) (*flow, error) {
	fields, err := cloudfront.ParseFields(strings.Join(traffic.Fields, ","))
	if err != nil {
		return nil, err
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return nil, err
	}
	const blockStatus = 429
	set, err := scenario.Compile(scenario.Catalogue(), scenario.Options{BlockStatuses: []uint16{blockStatus}})
	if err != nil {
		return nil, err
	}
	store, err := ban.Open(ctx, ban.Config{
		Duration: 4 * time.Hour, Action: ban.Block, Now: func(event time.Time) time.Time { return event },
	})
	if err != nil {
		return nil, err
	}
	engine, err := detect.New(set, detect.Config{
		Shards: 1, Memory: 256 << 20, Alert: store.Alert, Banned: store.Banned, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	p := pipeline.New(pipeline.Config{
		Format: format, Engine: engine, Commit: store.Commit, Seen: store.Seen,
		Answers: []uint16{blockStatus, 405, 202}, Answered: store.Answered,
		Allowed: func(netip.Addr) bool { return false },
	})
	return &flow{p, func() { engine.Close(); store.Close() }}, nil
}
