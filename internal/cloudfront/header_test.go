package cloudfront

import (
	"bytes"
	"slices"
	"testing"
)

func texts(parts [][]byte) []string {
	var list []string
	for _, p := range parts {
		list = append(list, string(p))
	}
	return list
}

func TestHeaderEntries(t *testing.T) {
	for in, want := range map[string][]string{
		"":                           nil,
		"host%0A":                    {"host"},
		"host%0Auser-agent%0A":       {"host", "user-agent"},
		"host%0Aacc":                 {"host", "acc"},      // cut
		"host%0Aaccept%0":            {"host", "accept%0"}, // cut within an escape
		"x:a%250Ainjected:1%0Ay:%0A": {"x:a%250Ainjected:1", "y:"},
		"%0A%0Ahost%0A%0A":           {"host"},
		"host:a%20b%0Areferer:c%0A":  {"host:a%20b", "referer:c"},
	} {
		if got := texts(slices.Collect(HeaderEntries([]byte(in)))); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for range HeaderEntries([]byte("a%0Ab%0A")) {
		break // a consumer may stop at any time
	}
}

// Whether a cookie was sent is asked like this.
func TestHeaderEntriesCookie(t *testing.T) {
	for names, want := range map[string]bool{
		"host%0Acookie%0A":       true,
		"Cookie%0AHost%0A":       true,
		"host%0ACOOKIE":          true,
		"host%0Acookies%0A":      false,
		"host%0Aset-cookie%0A":   false,
		"host%0Acooki":           false,
		"host%250Acookie%250A":   false, // the client's own line break
		"host%0Ax%250Acookie%0A": false,
	} {
		if got := hasCookie([]byte(names)); got != want {
			t.Errorf("%q: got %v, want %v", names, got, want)
		}
	}
}

func hasCookie(names []byte) bool {
	for name := range HeaderEntries(names) {
		if bytes.EqualFold(name, []byte("cookie")) {
			return true
		}
	}
	return false
}

// Entries point into what they were taken from.
func TestHeaderEntriesAreNotCopied(t *testing.T) {
	column := []byte("a%0Ab%0A")
	for entry := range HeaderEntries(column) {
		entry[0] = 'x'
	}
	if string(column) != "x%0Ax%0A" {
		t.Errorf("entries are copies: %q", column)
	}
}
