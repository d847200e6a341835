package payload

import (
	"fmt"
	"strings"
	"testing"
)

// hostile are long queries that are made to cost much, as the client sends them.
var hostile = map[string]string{
	"quotes and words":   "q=" + strings.Repeat("'%20or%20a(", 700),
	"brackets":           "q=" + strings.Repeat("(", 8000),
	"calls":              "q=" + strings.Repeat("system(", 1100),
	"tags":               "q=" + strings.Repeat("%3Ca%20", 1100),
	"handlers":           "q=" + strings.Repeat("%3Cb%20on%20", 700),
	"ups":                "q=" + strings.Repeat("a/../", 1600),
	"slashes":            "q=" + strings.Repeat("/./", 2600),
	"names":              "q=" + strings.Repeat("b/etc/", 1300),
	"percent":            "q=" + strings.Repeat("%25", 2600),
	"layers":             "q=" + strings.Repeat("%252525252541", 600),
	"semicolons":         "q=" + strings.Repeat(";cat%20", 1100),
	"bars":               "q=" + strings.Repeat("|id|", 2000),
	"look-ups":           "q=" + strings.Repeat("$%7Ba", 1600),
	"closed look-ups":    "q=" + strings.Repeat("$%7Ba:-b%7D", 700),
	"templates":          "q=" + strings.Repeat("%7B%7Ba", 1100),
	"comments":           "q=" + strings.Repeat("/*a", 2600),
	"comment signs":      "q=" + strings.Repeat("a--%20", 1300),
	"parameters":         strings.Repeat("a=b'&", 1600),
	"SQL words":          "q=" + strings.Repeat("or+not+(", 1000),
	"line breaks":        "q=" + strings.Repeat("%0a%0ds", 1100),
	"entities":           "q=" + strings.Repeat("%26%23x0", 1000),
	"letters":            "q=" + strings.Repeat("abcdefgh", 1000),
	"numbers and commas": "q=" + strings.Repeat("1,", 4000),
	"script URLs":        "q=" + strings.Repeat("javascript:", 700),
	"script calls":       "q=" + strings.Repeat("';alert(", 1000),
	"NULs":               "q=" + strings.Repeat("a.%00%20", 1000),
	"objects":            "q=" + strings.Repeat("o:1:%22:{s:", 700),
	"full width":         "q=" + strings.Repeat("%EF%BC%87", 900),
	"plus":               "q=" + strings.Repeat("a+", 4000),
	"selects":            "q=" + strings.Repeat("(select+a,", 800),
}

var typical = map[string]string{
	"none":   "",
	"plain":  "category=shoes&page=7&sort=price-asc&ref=home_banner",
	"search": "q=red+winter+boots+and+socks&size=42.5",
	"url":    "redirect=https%3A%2F%2Fwww.example.com%2Faccount%2Forders%3Fpage%3D2&lang=en",
	"utm":    "utm_source=newsletter&utm_medium=email&utm_campaign=spring_2026&gclid=Cj0KCQiA-abc_DEF",
	"json":   "filter=%7B%22where%22%3A%7B%22price%22%3A%7B%22gt%22%3A5%7D%7D%2C%22limit%22%3A10%7D",
	"attack": "id=1%27%20UNION%20SELECT%20null,null,version()--%20-",
}

func BenchmarkTypical(b *testing.B) {
	for name, query := range typical {
		b.Run(name, func(b *testing.B) {
			s, raw := New(), logged(query)
			b.ReportAllocs()
			for b.Loop() {
				s.Query(raw)
			}
		})
	}
	b.Run("path", func(b *testing.B) {
		s, raw := New(), logged("/products/kids/blue-wireless-mug-10023.html")
		for b.Loop() {
			s.Path(raw)
		}
	})
	b.Run("referer", func(b *testing.B) {
		s, raw := New(), logged("https://www.example.com/products/kids?page=3&sort=price")
		for b.Loop() {
			s.Header(raw)
		}
	})
	b.Run("agent", func(b *testing.B) {
		s, raw := New(), logged("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36")
		for b.Loop() {
			s.UserAgent(raw)
		}
	})
}

// BenchmarkHostile reads 8 KB of what costs most.
func BenchmarkHostile(b *testing.B) {
	for name, query := range hostile {
		b.Run(name, func(b *testing.B) {
			s, raw := New(), logged(query)
			raw = raw[:min(len(raw), 8192)]
			b.ReportAllocs()
			for b.Loop() {
				s.Query(raw)
			}
		})
	}
}

// BenchmarkMedium reads 1 KB of it, which is read whole.
func BenchmarkMedium(b *testing.B) {
	for name, query := range hostile {
		b.Run(name, func(b *testing.B) {
			s, raw := New(), logged(query)
			raw = raw[:min(len(raw), maxWhole)]
			for b.Loop() {
				s.Query(raw)
			}
		})
	}
}

// logged returns a column as CloudFront writes it.
func logged(wire string) []byte {
	var column []byte
	for _, c := range []byte(wire) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0 {
			column = fmt.Appendf(column, "%%%02X", c)
		} else {
			column = append(column, c)
		}
	}
	return column
}
