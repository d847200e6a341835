package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"time"

	"weir/internal/cloudfront"
	"weir/internal/source/file"
	"weir/internal/traffic"
)

// load reads the log into memory, or makes one.
func load(log, list string) ([][]byte, []cloudfront.Field, error) {
	if log == "" {
		fields, err := cloudfront.ParseFields(strings.Join(traffic.Fields, ","))
		return madeLog(), fields, err
	}
	if name, ok := strings.CutPrefix(list, "@"); ok {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		list = string(b)
	}
	fields, err := cloudfront.ParseFields(list)
	if err != nil {
		return nil, nil, err
	}
	var lines [][]byte
	src := file.New(log)
	err = src.Run(context.Background(), func(_ context.Context, batch [][]byte, _ []time.Time) error {
		for _, l := range batch {
			lines = append(lines, bytes.Clone(l))
		}
		return nil
	})
	return pack(lines), fields, err
}

func madeLog() [][]byte {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var lines [][]byte
	mix := traffic.New(traffic.Config{Seed: 1, Start: start, Rate: 3000, Spread: 20 * time.Second})
	mix.Until(start.Add(40*time.Second), func(line []byte) { lines = append(lines, bytes.Clone(line)) })
	return pack(lines)
}

// pack puts the lines behind one another, as they lie in the batches of a source.
func pack(lines [][]byte) [][]byte {
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	text := make([]byte, 0, size)
	for i, l := range lines {
		text = append(text, l...)
		lines[i] = text[len(text)-len(l) : len(text) : len(text)]
	}
	return lines
}
