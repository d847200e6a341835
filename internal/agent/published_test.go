package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParsePublished(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"Google":     {`{"creationTime":"2026-08-01T00:00:00.000000","prefixes":[{"ipv6Prefix":"2001:4860:4801:10::/64"},{"ipv4Prefix":"66.249.64.0/27"}]}`, "66.249.64.0/27 2001:4860:4801:10::/64"},
		"Amazon":     {`{"prefixes":[{"ip_prefix":"3.216.0.0/24","region":"us-east-1","service":"X"}]}`, "3.216.0.0/24"},
		"array":      {`["5.9.1.1", "5.9.1.2/32", "5.9.1.1"]`, ""},
		"addresses":  {`{"ips":["5.9.1.1", "5.9.1.2/32", "5.9.1.1"]}`, "5.9.1.1/32 5.9.1.2/32"},
		"text":       {"\ufeff# probes\r\n5.9.1.1\r\n\r\n2a01:4f8::1\n", "5.9.1.1/32 2a01:4f8::1/128"},
		"host bits":  {"5.9.1.1/24", "5.9.1.0/24"},
		"empty":      {"", ""},
		"none":       {`{"prefixes":[]}`, ""},
		"page":       {"<!doctype html><html></html>", ""},
		"cut":        {`{"prefixes":[{"ipv4Prefix":"66.249`, ""},
		"no range":   {`{"prefixes":[{"ipv4Prefix":"example"}]}`, ""},
		"everything": {"0.0.0.0/0", ""},
		"too wide":   {"2000::/3", ""},
		"private":    {"10.1.0.0/16", ""},
		"mapped":     {"::ffff:5.9.1.0/120", ""},
		"zone":       {"fe80::1%eth0", ""},
		"deep":       {strings.Repeat(`{"prefixes":[`, 20) + `"5.9.1.1"` + strings.Repeat("]}", 20), ""},
		"many":       {strings.Repeat("5.9.1.1\n", mostPrefixes+1), ""},
	} {
		got, err := parsePublished([]byte(c.body))
		var texts []string
		for _, p := range got {
			texts = append(texts, p.String())
		}
		if strings.Join(texts, " ") != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %s %v", name, texts, err)
		}
	}
}

func FuzzParsePublished(f *testing.F) {
	f.Add([]byte(`{"prefixes":[{"ipv6Prefix":"2001:4860:4801:10::/64"},{"ipv4Prefix":"66.249.64.0/27"}]}`))
	f.Add([]byte("5.9.1.1\n2a01:4f8::/32"))
	f.Add([]byte(`[[["1.1.1.1"]]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parsePublished(body)
		if (err == nil) != (len(got) > 0) {
			t.Errorf("%d ranges and %v", len(got), err)
		}
		if !slices.IsSortedFunc(got, netip.Prefix.Compare) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("not sorted, or not each once: %v", got)
		}
		for _, p := range got {
			if p != p.Masked() || !p.IsValid() || p.Addr().Is4() && p.Bits() < widest4 || p.Addr().Is6() && p.Bits() < widest6 {
				t.Errorf("%v", p)
			}
		}
	})
}
