package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/cloudfront"
)

// payloadScenarios judge the request line alone.
var payloadScenarios = []string{
	"http-backdoor", "http-bad-user-agent", "http-command-injection", "http-header-injection",
	"http-hostile-slow", "http-path-traversal", "http-payload-stranger", "http-range-attack", "http-range-wide", "http-secret-files", "http-sensitive-files", "http-wordpress-authors", "http-sqli", "http-xss",
}

func TestOurOwnBlockIsNoEvidence(t *testing.T) {
	m := testSet(t).NewMatcher()
	for _, c := range cases(t) {
		r := parseRequest(t, c.request).but("edge", "waf")
		r.status = "429"
		for _, name := range hitNames(m, r.record(t)) {
			if !slices.Contains(payloadScenarios, name) {
				t.Errorf("%s, as blocked by us: hits %s", c.request, name)
			}
		}
	}
}

func TestBlockStatusOfTheSiteItself(t *testing.T) {
	m := testSet(t).NewMatcher()
	r := get("/search", 429).but("names", "host,user-agent")
	if !slices.Contains(hitNames(m, r.record(t)), "http-flood") {
		t.Error("a 429 of the origin does not count as a request that was served")
	}
	blocked := r.but("edge", "waf").record(t, cloudfront.FieldOriginFBL, cloudfront.FieldXEdgeResultType)
	if names := hitNames(m, blocked); len(names) > 0 {
		t.Errorf("a block in a log without origin and result: hits %v", names)
	}
}

func TestFirewallBlockNeedsTheOriginColumn(t *testing.T) {
	m := testSet(t).NewMatcher()
	r := get("/members/only", 403).but("edge", "waf")
	if names := hitNames(m, r.record(t)); slices.Contains(names, "http-probing") {
		t.Error("a block by the WAF counts as probing")
	}
	if names := hitNames(m, r.record(t, cloudfront.FieldOriginFBL)); !slices.Contains(names, "http-probing") {
		t.Error("where the origin is not logged, a refusal is taken for a block")
	}
}

func TestStrangersAreUnknownWithoutHeaderColumns(t *testing.T) {
	m := testSet(t).NewMatcher()
	r := get("/p/blue-mug", 200).but("names", "host")
	if names := hitNames(m, r.record(t)); !slices.Contains(names, "http-crawl") {
		t.Error("a client without a browser's headers is no stranger")
	}
	if names := hitNames(m, r.record(t, cloudfront.FieldCSHeaderNames)); !slices.Contains(names, "http-crawl") {
		t.Error("a client without a referer is no stranger where only that is logged")
	}
	withReferer := r.but("ref", "https://www.example.com/")
	if names := hitNames(m, withReferer.record(t, cloudfront.FieldCSHeaderNames)); slices.Contains(names, "http-crawl") {
		t.Error("a client with a referer is a stranger")
	}
	bare := r.record(t, cloudfront.FieldCSHeaderNames, cloudfront.FieldCSReferer)
	if names := hitNames(m, bare); slices.Contains(names, "http-crawl") || slices.Contains(names, "http-flood") {
		t.Errorf("hits %v though nothing is logged that tells a stranger", names)
	}
}

func TestOffIsNotMatched(t *testing.T) {
	list := Catalogue()
	for i := range list {
		list[i].Mode = Off
		if list[i].Name == "http-flood-any" {
			list[i].Mode = Simulate
		}
	}
	set, err := Compile(list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	names := hitNames(set.NewMatcher(), get("/", 200).but("ua", "sqlmap/1.8").record(t))
	if want := []string{"http-flood-any"}; !slices.Equal(names, want) {
		t.Errorf("hits %v, want %v", names, want)
	}
}

// TestVerdictsDoNotDependOnWhatCameBefore holds a Matcher that has seen much
// against one that has seen nothing.
func TestVerdictsDoNotDependOnWhatCameBefore(t *testing.T) {
	set := testSet(t)
	old := set.NewMatcher()
	all := cases(t)
	rapid.Check(t, func(rt *rapid.T) {
		r := parseRequest(t, rapid.SampledFrom(all).Draw(rt, "case").request)
		if rapid.Bool().Draw(rt, "other path") {
			_, query, _ := strings.Cut(r.url, "?")
			r.url = fmt.Sprintf("/%d?%s", rapid.IntRange(0, 20_000).Draw(rt, "path"), query)
		}
		record := r.record(t)
		set.site = newSite()
		got := old.Match(record, nil)
		set.site = newSite()
		want := set.NewMatcher().Match(record, nil)
		if !slices.Equal(got, want) {
			rt.Fatalf("%v: %v, a fresh matcher says %v", r, got, want)
		}
	})
}

func TestMatchDoesNotAllocate(t *testing.T) {
	set := testSet(t)
	m := set.NewMatcher()
	var records []*cloudfront.Record
	for _, c := range cases(t) {
		records = append(records, parseRequest(t, c.request).record(t))
	}
	for i := range 2000 { // paths that push each other out of the cache
		records = append(records, get(fmt.Sprintf("/p/%d?q=a%%20b%d'", i, i), 404).record(t))
	}
	hits := make([]Hit, 0, set.Len())
	run := func() {
		for _, r := range records {
			hits = m.Match(r, hits[:0])
		}
	}
	run()
	if n := testing.AllocsPerRun(5, run); n != 0 {
		t.Errorf("%v allocations in %d records", n, len(records))
	}
}

func FuzzMatch(f *testing.F) {
	for _, c := range cases(f) {
		r := parseRequest(f, c.request)
		f.Add(escape(r.url), escape(r.option("ua", "-")), escape(r.option("ref", "-")), r.option("names", "-"), uint16(404))
	}
	f.Add("/%2525%", "%", "%25%32%35", "%0A%0a%", uint16(0))
	fields := []cloudfront.Field{
		cloudfront.FieldTimestamp, cloudfront.FieldCIP, cloudfront.FieldSCStatus, cloudfront.FieldCSMethod, cloudfront.FieldCSHost,
		cloudfront.FieldCSURIStem, cloudfront.FieldXEdgeRequestID, cloudfront.FieldCSProtocolVersion, cloudfront.FieldCSUserAgent,
		cloudfront.FieldCSReferer, cloudfront.FieldXForwardedFor, cloudfront.FieldSCContentType, cloudfront.FieldCSHeaderNames,
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		f.Fatal(err)
	}
	set := testSet(f)
	m := set.NewMatcher()
	f.Fuzz(func(t *testing.T, url, agent, referer, names string, status uint16) {
		line := strings.Join([]string{
			"1791187202.323", "203.0.113.9", fmt.Sprintf("%03d", status%1000), "GET", "www.example.com", url, "id",
			"HTTP/2.0", agent, referer, referer, "text/html", names,
		}, "\t")
		var r cloudfront.Record
		if format.Parse(&r, []byte(line)) != nil {
			return
		}
		set.site = newSite()
		got := m.Match(&r, nil)
		set.site = newSite()
		if again := m.Match(&r, nil); !slices.Equal(got, again) {
			t.Errorf("%v, and %v at the second look", got, again)
		}
		for _, h := range got {
			if int(h.Scenario) >= set.Len() || h.Effect == Pour && h.Distinct == 0 && set.At(int(h.Scenario)).distinct.text != "" {
				t.Errorf("hit %+v", h)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	m := testSet(b).NewMatcher()
	var innocent []*cloudfront.Record
	for i := range 512 {
		innocent = append(innocent,
			get(fmt.Sprintf("/products/%d?ref=list&page=%d", i, i), 200).record(b),
			get(fmt.Sprintf("/static/img/p/%d.webp", i), 200).but("type", "image/webp").but("edge", "hit").record(b))
	}
	var guilty []*cloudfront.Record
	for _, c := range cases(b) {
		guilty = append(guilty, parseRequest(b, c.request).record(b))
	}
	long := []*cloudfront.Record{get("/search?q="+strings.Repeat("%27%20or%20a(", 600), 200).record(b)}
	for _, bb := range []struct {
		name    string
		records []*cloudfront.Record
	}{{"innocent", innocent}, {"attacks", guilty}, {"8 KiB of SQL", long}} {
		b.Run(bb.name, func(b *testing.B) {
			hits := make([]Hit, 0, 32)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				hits = m.Match(bb.records[i], hits[:0])
				if i++; i == len(bb.records) {
					i = 0
				}
			}
		})
	}
}

func TestHitsAreInOrder(t *testing.T) {
	m := testSet(t).NewMatcher()
	several := 0
	for i, c := range cases(t) {
		r := parseRequest(t, c.request)
		if i%2 == 0 { // some that scenarios which sample leave out
			r = r.but("id", fmt.Sprint("id-", i))
		}
		hits, gist := m.MatchGist(r.record(t), make([]Hit, 3))
		hits = hits[3:]
		if want := GistOf(hits, m.set.isApart); gist != want {
			t.Errorf("%s: hits %+v have the gist %+v, want %+v", c.request, hits, gist, want)
		}
		if !slices.IsSortedFunc(hits, func(a, b Hit) int {
			return cmp.Or(int(a.Effect)-int(b.Effect), int(a.Scenario)-int(b.Scenario))
		}) {
			t.Errorf("%s: hits %+v", c.request, hits)
		}
		if len(hits) > 1 && hits[0].Effect != hits[len(hits)-1].Effect {
			several++
		}
	}
	if several == 0 {
		t.Error("no case has several effects")
	}
}
