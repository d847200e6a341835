package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const definedFile = `type: leaky
name: defined
filter: weir.post && any(File("words.txt"), {# == evt.Meta.http_path})
groupby: weir.range
distinct: weir.path
drain: {filter: weir.healthy, events: 3}
cancel_on: weir.crawler
shield: {filter: weir.familiar, for: 10m}
overflow_filter: len(queue.Queue) > 2
range: {ipv4: 24, ipv6: 48}
capacity: 400
leakspeed: 10s
blackhole: 1m
spacing: 1s
weight: megabytes
description: what it is
labels: {service: http, remediation: true}
data: [{dest_file: words.txt, type: string}]
`

// defined returns a scenario of a Set, with a data file beside it.
func defined(t *testing.T, file, words string) *Scenario {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"defined.yaml": file, "words.txt": words} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := Load([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set.At(0)
}

func TestDefinitionIsWhatDecidesWhatABucketHolds(t *testing.T) {
	const words = "one\ntwo\n"
	first := defined(t, definedFile, words)
	for _, tt := range []struct {
		from, to            string
		meaning, definition bool // whether they become others
	}{
		{"weir.post &&", "weir.read &&", true, true},
		{"weir.range\n", "weir.range + weir.top\n", true, true},
		{"weir.path\n", "weir.shape\n", true, true},
		{"weir.healthy", "weir.ok", true, true},
		{"weir.crawler", "weir.bot", true, true},
		{"weir.familiar", "weir.healthy", true, true},
		{"> 2", "> 3", true, true},
		{"weight: megabytes", "weight: origin_seconds", true, true},
		{"events: 3", "events: 2", false, true},
		{"for: 10m", "for: 11m", false, true},
		{"ipv4: 24", "ipv4: 23", false, true},
		{"ipv6: 48", "ipv6: 47", false, true},
		{"capacity: 400", "capacity: 401", false, true},
		{"leakspeed: 10s", "leakspeed: 11s", false, true},
		{"spacing: 1s", "spacing: 2s", false, true},
		{"blackhole: 1m", "blackhole: 2m", false, false},
		{"what it is", "what it was", false, false},
		{"service: http", "service: https", false, false},
		{"remediation: true", "remediation: false", false, false},
		{"name: defined", "name: renamed", false, false},
		{"data:", "severity: high\nmode: simulate\nban: 1h\naction: captcha\ncache_size: 3\ndata:", false, false},
	} {
		if strings.Count(definedFile, tt.from) != 1 {
			t.Fatalf("%q is not there once", tt.from)
		}
		s := defined(t, strings.Replace(definedFile, tt.from, tt.to, 1), words)
		if changed := s.Meaning() != first.Meaning(); changed != tt.meaning {
			t.Errorf("%s for %s: another meaning: %v, want %v", tt.to, tt.from, changed, tt.meaning)
		}
		if changed := s.Definition() != first.Definition(); changed != tt.definition {
			t.Errorf("%s for %s: another definition: %v, want %v", tt.to, tt.from, changed, tt.definition)
		}
	}
	if s := defined(t, definedFile, words+"three\n"); s.Meaning() == first.Meaning() || s.Definition() == first.Definition() {
		t.Error("another data file is no other definition")
	}
	if s := defined(t, definedFile, words); s.Definition() != first.Definition() {
		t.Error("the same scenario in another directory has another definition")
	}
}

func TestDefinitionHasWhatVariablesChange(t *testing.T) {
	for key, value := range map[string]string{"CAPACITY": "500", "LEAKSPEED": "11s", "DRAIN": "2", "RANGE_IPV4": "25", "RANGE_IPV6": "56", "SHIELD": "2m", "SPACING": "7s"} {
		list := []Scenario{*defined(t, definedFile, "one\n")}
		tuned, err := Tune(list, map[string]string{Variable("defined", key): value})
		if err != nil {
			t.Fatal(err)
		}
		if tuned[0].Definition() == list[0].Definition() {
			t.Errorf("%s changes nothing", key)
		}
		if tuned[0].Meaning() != list[0].Meaning() {
			t.Errorf("%s is another meaning", key)
		}
	}
	sampled := Scenario{Kind: Leaky, Sample: 4, Capacity: 400}
	other := sampled
	if other.Sample = 3; other.Definition() == sampled.Definition() {
		t.Error("another sample is no other definition")
	}
	other = sampled
	if other.Group.Members = true; other.Definition() == sampled.Definition() {
		t.Error("buckets with members are no other definition")
	}
}

// TestDefinitionsAreFixed: snapshots hold them. A change of this kind makes every bucket
// of every snapshot void, so it needs a reason.
func TestDefinitionsAreFixed(t *testing.T) {
	s := defined(t, definedFile, "one\n")
	got := fmt.Sprintf("%x %x", s.Meaning(), s.Definition())
	if want := "687dcb3eb8982d28ddc747f41f001a82 03cf1322b3559849aa086032e7c93136"; got != want {
		t.Errorf("meaning and definition are %s, were %s", got, want)
	}
}

func TestDefinitionsOfTheCatalogueDiffer(t *testing.T) {
	set, err := Compile(Catalogue(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	of := make(map[[16]byte]string)
	for i := range set.Len() {
		s := set.At(i)
		if other, taken := of[s.Definition()]; taken {
			t.Errorf("%s and %s have one definition", s.Name, other)
		}
		of[s.Definition()] = s.Name
	}
}
