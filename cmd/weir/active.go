package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"weir/internal/ban"
)

// activeLine is a decision of -active: a line of -decisions, or of another tool's
// list in the same form. Fields that are not named here are passed over.
type activeLine struct {
	At       float64  `json:"ts"`
	Value    string   `json:"value"`
	Scenario string   `json:"scenario"`
	Type     string   `json:"type"`     // "" = ban
	Until    *float64 `json:"until"`    // seconds since 1970, or
	Duration *string  `json:"duration"` // "4h"; neither: the default duration of a ban
}

// maxActiveLine is longer, in bytes, than any decision.
const maxActiveLine = 64 << 10

// readActive hands the decisions of a file to take, one a line. The error names
// file and line.
func readActive(name string, take func(ban.Decision) error) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("-active: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxActiveLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		d, err := parseActive(line)
		if err == nil {
			err = take(d)
		}
		if err != nil {
			return fmt.Errorf("-active: %s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("-active: %s:%d: %w", name, n+1, err)
	}
	return nil
}

// endOfTime is the end of the year 9999, in seconds since 1970.
const endOfTime = 253_402_300_800

func parseActive(line []byte) (d ban.Decision, err error) {
	var l activeLine
	if err := json.Unmarshal(line, &l); err != nil {
		return d, explainJSON(err)
	}
	if d.Prefix, err = ban.ParsePrefix(l.Value); err != nil {
		return d, fmt.Errorf("value: %w", err)
	}
	if d.At, err = eventTime(l.At); err != nil {
		return d, fmt.Errorf("ts: %w", err)
	}
	switch {
	case l.Until != nil && l.Duration != nil:
		return d, errors.New("it has both until and duration: want one of them")
	case l.Until != nil:
		if d.Until, err = eventTime(*l.Until); err != nil {
			return d, fmt.Errorf("until: %w", err)
		}
	case l.Duration != nil:
		lasts, err := time.ParseDuration(*l.Duration)
		if err != nil {
			return d, fmt.Errorf("duration: got %.100q, want one such as 4h", *l.Duration)
		}
		d.Until = d.At.Add(lasts)
	}
	d.Scenario = l.Scenario
	if d.Action = ban.Action(l.Type); l.Type == banType {
		d.Action = ban.Block
	}
	return d, nil
}

func eventTime(seconds float64) (time.Time, error) {
	ms := math.Round(seconds * 1000)
	if ms < 1 || ms >= endOfTime*1000 {
		return time.Time{}, fmt.Errorf("got %.15g, want seconds since 1970", seconds)
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}

// explainJSON says what is wrong with a line in words of its fields.
func explainJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "":
		return fmt.Errorf("want an object with ts and value, got %s", wrong.Value)
	case errors.As(err, &wrong):
		return fmt.Errorf("%s: got %s", wrong.Field, wrong.Value)
	}
	return fmt.Errorf("not JSON: %w", err)
}

// restore begins with the bans of a file in force; an empty name is none.
func (r *replay) restore(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	return readActive(name, func(d ban.Decision) error { return r.store.Restore(ctx, d) })
}
