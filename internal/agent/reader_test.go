package agent

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/cloudfront"
	"weir/internal/seeded"
)

func TestFingerprint(t *testing.T) {
	hasher := seeded.New().Hasher()
	d := New(Config{})
	print := func(q request) (software, whole uint64) {
		rd := d.NewReader(hasher) // each time another, as other goroutines have
		r := q.record(t)
		c := rd.Read(r)
		return rd.Software(c, r), rd.Fingerprint(c, r)
	}
	software, whole := print(request{})
	for name, c := range map[string]struct {
		q                request
		software, agents bool // the same
	}{
		"another page":     {request{"cs-uri-stem": "/other", "c-ip": "198.51.100.7", "cs-referer": "https://www.example.com/"}, true, true},
		"with a cookie":    {request{"cs-header-names": strings.Replace(chromeNames, "priority", "cookie priority content-length x-csrf if-none-match cloudfront-viewer-country", 1)}, true, true},
		"a fetch":          {request{"cs-header-names": strings.Replace(strings.Replace(chromeNames, "upgrade-insecure-requests ", "", 1), "sec-fetch-user ", "", 1)}, true, true},
		"another agent":    {request{"cs-user-agent": firefoxAgent}, true, false},
		"no agent":         {request{"cs-user-agent": ""}, true, false},
		"another order":    {request{"cs-header-names": strings.Replace(chromeNames, "user-agent accept", "accept user-agent", 1)}, false, false},
		"another case":     {request{"cs-header-names": strings.Replace(chromeNames, "user-agent", "User-Agent", 1)}, false, false},
		"another cipher":   {request{"ssl-cipher": "TLS_AES_256_GCM_SHA384"}, false, false},
		"another HTTP":     {request{"cs-protocol-version": "HTTP/1.1"}, false, false},
		"another encoding": {request{"cs-accept-encoding": "gzip"}, false, false},
		"a handshake":      {request{"viewer-request-log-data": "ja4=t13d1516h2_8daaf6152771_b186095e22b6"}, false, false},
	} {
		s, w := print(c.q)
		if (s == software) != c.software || (w == whole) != c.agents {
			t.Errorf("%s: software the same: %v, whole the same: %v", name, s == software, w == whole)
		}
	}
	if s, w := print(request{"cs-user-agent": "", "cs-header-names": "", "cs-accept-encoding": "", "ssl-cipher": "", "viewer-request-log-data": ""}); s == 0 || s != w {
		t.Errorf("only a version of HTTP: %x %x", s, w)
	}

	first, _ := print(request{"viewer-request-log-data": "a=b&ja4=t13d1516h2_8daaf6152771_b186095e22b6&c=d"})
	second, _ := print(request{"viewer-request-log-data": "ja4=t13d1516h2_8daaf6152771_b186095e22b6", "cs-header-names": "host", "cs-protocol-version": "HTTP/3.0"})
	if first != second {
		t.Error("the same handshake has two fingerprints")
	}
}

func TestHandshake(t *testing.T) {
	for data, want := range map[string]string{
		"":                           "",
		"ja4=":                       "",
		"ja4=t13d_a_b":               "t13d_a_b",
		"ja3=abc":                    "abc",
		"ja3=abc;ja4=t13":            "t13",
		"x=1%26ja4%3Dt13_a%26y=2":    "t13_a",
		"notja4=t13":                 "",
		"ja4=t13%20and more":         "t13",
		"%2522ja4%2522:%2522t13%252": "",
	} {
		if got := string(handshake([]byte(data))); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}

func TestSigns(t *testing.T) {
	read := func(q request, without ...string) Signs {
		r := q.record(t, without...)
		return New(Config{}).NewReader(seeded.New().Hasher()).Read(r).Signs(r, r.Raw(cloudfront.FieldCSCookie), r.Raw(cloudfront.FieldCSReferer))
	}
	for name, c := range map[string]struct{ got, want Signs }{
		"browser":           {read(request{}), SignFetchMetadata | SignAcceptLanguage | SignsKnown},
		"was here":          {read(request{"cs-header-names": "Host Cookie Authorization Referer"}), SignCookie | SignAuthorization | SignReferer | SignsKnown},
		"stranger":          {read(request{"cs-header-names": "Host User-Agent"}), SignsKnown},
		"no headers":        {read(request{"cs-header-names": ""}), SignsKnown},
		"columns":           {read(request{"cs-cookie": "a=b", "cs-referer": "https://x/"}, "cs-header-names"), SignCookie | SignReferer | SignsKnown},
		"columns, stranger": {read(request{}, "cs-header-names"), SignsKnown},
		"a column":          {read(request{"cs-cookie": "a=b"}, "cs-header-names", "cs-referer"), SignCookie | SignsKnown},
		"nothing is logged": {read(request{}, "cs-header-names", "cs-referer"), 0},
		"names were cut":    {read(request{"cs-header-names": "host x-" + long(800)}), 0},
		"cut, but a sign":   {read(request{"cs-header-names": "host cookie x-" + long(800)}), SignCookie | SignsKnown},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

// TestReader: a Reader says of every record what reading it anew says, whatever it has read
// before.
func TestReader(t *testing.T) {
	hasher := seeded.New().Hasher()
	rd := New(Config{}).NewReader(hasher)
	format := mustFormat(t, "timestamp,c-ip,sc-status,cs-method,cs-host,cs-uri-stem,x-edge-request-id,cs-protocol-version,cs-user-agent,ssl-protocol,cs-accept-encoding,cs-header-names")
	noted := map[uint64]string{}
	rapid.Check(t, func(t *rapid.T) {
		agent := escape(rapid.SampledFrom([]string{chromeAgent, firefoxAgent, "curl/8", "sqlmap", "x"}).Draw(t, "agent") + rapid.StringMatching(`[ -~]{0,4}`).Draw(t, "more"))
		list := headerNames(strings.Join(rapid.SliceOfN(rapid.SampledFrom(strings.Fields(chromeNames+" Host User-Agent cookie via")), 1, 9).Draw(t, "names"), " "))
		http := rapid.SampledFrom([]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"}).Draw(t, "http")
		tls := rapid.SampledFrom([]string{"-", "TLSv1", "TLSv1.1", "TLSv1.3", "something newer"}).Draw(t, "tls")
		encoding := rapid.SampledFrom([]string{"-", "gzip", "identity", "gzip,%20br"}).Draw(t, "encoding")
		line := strings.Join([]string{"1791188710.806", "192.0.2.1", "200", "GET", "example.com", "/", "id==", http, agent, tls, encoding, list}, "\t")
		var r cloudfront.Record
		if err := format.Parse(&r, []byte(line)); err != nil {
			t.Fatal(err)
		}
		got := rd.Read(&r)
		claim, _ := Parse([]byte(agent), nil)
		headers, _ := ReadHeaders([]byte(list), hasher, nil)
		if got.Claim != claim || got.Headers != headers {
			t.Errorf("%v, want %v and %v", got, claim, headers)
		}
		if c, want := got.Contradicts(&r), Contradicts(claim, headers, &r); c != want {
			t.Errorf("%s: contradictions %b, want %b", line, c, want)
		}
		if signs, want := got.Signs(&r, nil, nil), SignsOf(headers, &r); signs != want {
			t.Errorf("%s: signs %b, want %b", line, signs, want)
		}
		if whole := http + agent + tls + list; got.Note != 0 && noted[got.Note] != whole {
			t.Errorf("%s: the note is that of %s", line, noted[got.Note])
		} else if got.Note == 0 {
			got.Note = uint64(len(noted) + 1)
			noted[got.Note] = whole
		}
	})
	without := request{}.record(t, "cs-header-names")
	if got := rd.Read(without); got.Headers.Set != 0 {
		t.Errorf("names that are not logged: %b", got.Headers.Set)
	}
}

// TestNoAllocation: neither for a record whose columns were met before, nor for a new one.
func TestNoAllocation(t *testing.T) {
	d := New(Config{})
	hasher := seeded.New().Hasher()
	rd := d.NewReader(hasher)
	rec := request{"cs-user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "asn": "64500"}.record(t)
	agent := []byte(escape(chromeAgent))
	list := []byte(headerNames(chromeNames))
	rd.Read(rec)
	var sum uint64
	if n := testing.AllocsPerRun(200, func() {
		c := rd.Read(rec)
		sum += uint64(rd.Verify(c, rec)) + uint64(c.Contradicts(rec)) + uint64(c.Signs(rec, nil, nil)) + rd.Fingerprint(c, rec)
	}); n != 0 {
		t.Errorf("%v allocations for a record", n)
	}
	scratch := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(200, func() {
		_, scratch = Parse(agent, scratch)
		_, scratch = ReadHeaders(list, hasher, scratch)
	}); n != 0 {
		t.Errorf("%v allocations for new columns", n)
	}
}

func BenchmarkReader(b *testing.B) {
	d := New(Config{})
	hasher := seeded.New().Hasher()
	google := request{"cs-user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "asn": "64500"}.record(b)
	chrome := request{}.record(b)
	hostile := []byte(strings.Repeat("%2525mozilla/googlebot (+http://", 256))
	scratch := make([]byte, 0, 2048)
	rd := d.NewReader(hasher)
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	run("read", func() { rd.Read(chrome) })
	c := rd.Read(chrome)
	g := rd.Read(google)
	run("contradicts", func() { c.Contradicts(chrome) })
	run("signs", func() { c.Signs(chrome, nil, nil) })
	run("fingerprint", func() { rd.Fingerprint(c, chrome) })
	run("verify", func() { rd.Verify(g, google) })
	agent := []byte(escape(chromeAgent))
	list := []byte(headerNames(chromeNames))
	run("parse", func() { _, scratch = Parse(agent, scratch) })
	run("parse hostile", func() { _, scratch = Parse(hostile, scratch) })
	run("headers", func() { _, scratch = ReadHeaders(list, hasher, scratch) })
	many := []byte(strings.Repeat("a%0A", 2000))
	run("headers hostile", func() { _, scratch = ReadHeaders(many, hasher, scratch) })
}
