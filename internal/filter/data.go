package filter

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// The types of data files that filters can ask.
const (
	StringData = "string" // File: one string a line
	RegexpData = "regexp" // RegexpInFile: one regular expression a line
	MapData    = "map"    // LookupFile, FileMap: one JSON object a line, with pattern, tag and type
)

// Data is the content of a data file. It is immutable.
type Data struct {
	name    string
	kind    string
	lines   []string
	regexps []*regexp.Regexp    // of RegexpData
	rows    []map[string]string // of MapData
}

// ParseData reads a data file of one of the types above ("regex" is RegexpData, too).
// Empty lines and lines that begin with '#' do not count. The error names every line
// that is wrong.
func ParseData(name, kind string, r io.Reader) (*Data, error) {
	if kind == "regex" {
		kind = RegexpData
	}
	switch kind {
	case StringData, RegexpData, MapData:
	default:
		return nil, fmt.Errorf("%s: unknown type of data %.64q (known: %s, %s, %s)", name, kind, StringData, RegexpData, MapData)
	}
	d := &Data{name: name, kind: kind}
	var errs []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		if err := d.add(line); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, n, err))
		}
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Data) add(line string) error {
	switch d.kind {
	case RegexpData:
		re, err := regexp.Compile(line)
		if err != nil {
			return err
		}
		d.regexps = append(d.regexps, re)
	case MapData:
		row, err := parseRow(line)
		if err != nil {
			return err
		}
		d.rows = append(d.rows, row)
	}
	d.lines = append(d.lines, line)
	return nil
}

func parseRow(line string) (map[string]string, error) {
	var row map[string]string
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		return nil, fmt.Errorf("not a JSON object of strings: %w", err)
	}
	for _, key := range []string{"pattern", "tag", "type"} {
		if row[key] == "" {
			return nil, fmt.Errorf("no %q", key)
		}
	}
	switch row["type"] {
	case "equals", "contains":
	case "regex":
		if _, err := regexp.Compile(row["pattern"]); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("unknown type %.64q (known: equals, contains, regex)", row["type"])
	}
	return row, nil
}

// matchesRegexp is RegexpInFile: whether any of the regular expressions matches.
func (d *Data) matchesRegexp(s string) bool {
	for _, re := range d.regexps {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}

// lookUp is LookupFile: the tag of the row that fits, of the rows that want equality
// the last, of those that want to be contained the one that stands first in s, of
// regular expressions the first; "" when there is none. They are asked in this order.
func (d *Data) lookUp(s string) (tag string) {
	for _, row := range d.rows {
		if row["type"] == "equals" && row["pattern"] == s {
			tag = row["tag"]
		}
	}
	if tag != "" {
		return tag
	}
	first := -1
	for _, row := range d.rows {
		if row["type"] != "contains" {
			continue
		}
		if i := strings.Index(s, row["pattern"]); i >= 0 && (first < 0 || i < first) {
			first, tag = i, row["tag"]
		}
	}
	if tag != "" {
		return tag
	}
	for _, row := range d.rows {
		if row["type"] != "regex" {
			continue
		}
		if re, err := regexp.Compile(row["pattern"]); err == nil && re.MatchString(s) {
			return row["tag"]
		}
	}
	return ""
}
