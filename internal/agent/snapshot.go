package agent

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gaissmai/bart"
)

// snapshot is what the publishers published when this was built. A line of three words
// begins a list: its publisher, as of which day, where it was published. Lines that begin
// with a space hold prefixes. TestSnapshot renews it.
//
//go:embed ranges.txt
var snapshot string

// A rangeList is one publisher's list. It is immutable.
type rangeList struct {
	table  bart.Lite
	has4   bool      // it holds prefixes of IPv4: without, it says nothing about IPv4
	has6   bool      // the same of IPv6
	count  int       // prefixes
	asOf   time.Time // zero = never known
	origin string    // where it was published
	fresh  bool      // fetched by this process, not built in
}

func newRangeList(prefixes []netip.Prefix, asOf time.Time, origin string) *rangeList {
	l := &rangeList{count: len(prefixes), asOf: asOf, origin: origin}
	for _, p := range prefixes {
		l.table.Insert(p)
		if p.Addr().Is4() {
			l.has4 = true
		} else {
			l.has6 = true
		}
	}
	return l
}

// tables are all lists, by publisher.
type tables [maxPublishers]*rangeList

const maxPublishers = 32

// readSnapshot reads what snapshot describes.
func readSnapshot(text string) (*tables, error) {
	t := new(tables)
	for i := range t {
		t[i] = new(rangeList)
	}
	var prefixes []netip.Prefix
	current := -1
	var asOf time.Time
	var origin string
	flush := func() {
		if current >= 0 {
			t[current] = newRangeList(prefixes, asOf, origin)
		}
		prefixes = nil
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		words := strings.Fields(line)
		if line[0] == ' ' {
			for _, w := range words {
				p, err := netip.ParsePrefix(w)
				if err != nil {
					return nil, fmt.Errorf("line %d: %w", number, err)
				}
				prefixes = append(prefixes, p)
			}
			continue
		}
		flush()
		if len(words) != 3 {
			return nil, fmt.Errorf("line %d: want publisher, day and place", number)
		}
		day, err := time.Parse(time.DateOnly, words[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if current = publisherOf(words[0]); current < 0 {
			return nil, fmt.Errorf("line %d: unknown publisher %q", number, words[0])
		}
		asOf, origin = day, words[2]
	}
	flush()
	return t, nil
}
