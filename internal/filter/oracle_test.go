package filter

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/internal/cloudfront"
)

// oracleRecords calls f with the records of a log that CrowdSec was run on.
func oracleRecords(t testing.TB, name string, f func(i int, r *cloudfront.Record)) {
	file, err := os.Open(filepath.Join(sharedDir(t, "oracle"), name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var in io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	var sniffer cloudfront.Sniffer
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, cloudfront.MaxLine)
	read := 0
	for lines.Scan() {
		format, err := sniffer.Format(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if format == nil {
			continue // a header
		}
		var r cloudfront.Record
		if err := format.Parse(&r, lines.Bytes()); err != nil {
			continue
		}
		f(read, &r)
		read++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if read == 0 {
		t.Fatalf("%s: no record", name)
	}
	t.Logf("%s: %d records", name, read)
}

// TestOracle: on the logs that CrowdSec was run on, every filter holds of the records of
// which expr says so, and of some of each client that an alert was raised about.
func TestOracle(t *testing.T) {
	filters, _ := hubSources(t)
	s, err := Compile(filters, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		log, alerts string
		every       int // plain evaluation of all would take a minute
	}{{"hubconf.log", "hubconf.alerts.tsv", 1}, {"mixed.log.gz", "mixed.alerts.tsv", 211}} {
		m := s.NewMatcher()
		found := map[string]bool{}
		var facts Facts
		oracleRecords(t, c.log, func(i int, r *cloudfront.Record) {
			got := indexes(m.Match(r, &facts))
			for _, f := range got {
				found[filters[f].Name+" "+r.Addr.String()] = true
			}
			if i%c.every != 0 {
				return
			}
			if want := plainMatch(s, r, &facts); !slices.Equal(got, want) {
				t.Errorf("%s, record %d: compiled %v, expr %v", c.log, i, got, want)
			}
		})
		text, err := os.ReadFile(filepath.Join(sharedDir(t, "oracle"), c.alerts))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			columns := strings.Split(line, "\t")
			if len(columns) < 3 || !strings.Contains(columns[0], "/") {
				continue
			}
			n++
			if !found[columns[0]+" "+columns[2]] {
				t.Errorf("%s: no record for the alert %s of %s", c.log, columns[0], columns[2])
			}
		}
		if n == 0 {
			t.Errorf("%s: no alerts", c.alerts)
		}
		t.Logf("%s: %d alerts", c.alerts, n)
	}
}
