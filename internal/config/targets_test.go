package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestOneTarget(t *testing.T) {
	c, err := load(t, []string{
		"WEIR_WAF_SCOPE=REGIONAL", "WEIR_WAF_REGION=eu-west-1", "WEIR_WAF_ROLE=arn:aws:iam::123456789012:role/weir",
		"WEIR_WAF_EXTERNAL_ID=for-weir", "WEIR_WAF_WRITES_PER_SECOND=0.25", "WEIR_WAF_BLOCK_STATUS=421", "WEIR_WAF_FALLBACK=captcha", "WEIR_WAF_DRY_RUN=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{{
		Name: "default", Scope: "REGIONAL", Region: "eu-west-1", Role: "arn:aws:iam::123456789012:role/weir", ExternalID: "for-weir", Session: "weir",
		Sets: []string{"weir-"}, WritesPerSecond: 0.25, BlockStatus: 421, Fallback: "captcha", DryRun: true,
	}}
	if got := c.Targets(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// What a file leaves out of a target is as the plain settings say, but that a
// region among them is for those of scope REGIONAL.
func TestTargetsOfAFile(t *testing.T) {
	c, err := load(t, []string{"WEIR_WAF_TARGETS=testdata/targets.yaml", "WEIR_WAF_REGION=eu-west-1", "WEIR_WAF_WRITES_PER_SECOND=0.75"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{
		{
			Name: "site", Where: "testdata/targets.yaml:3", Scope: "CLOUDFRONT", Session: "weir",
			Sets: []string{"weir-", "captcha=puzzles-"}, WritesPerSecond: 0.75, BlockStatus: 421, Fallback: "block",
		},
		{
			Name: "shop", Where: "testdata/targets.yaml:6", Scope: "REGIONAL", Region: "eu-central-1",
			Role: "arn:aws:iam::123456789012:role/weir", ExternalID: "only-for-weir", Session: "weir@shop",
			Sets: []string{"weir-"}, WritesPerSecond: 0.25, BlockStatus: 429, Fallback: "none", DryRun: true,
			Scenarios: []string{"http-login*", "http-secret-files"}, Origins: []string{"scenario", "manual"}, Actions: []string{"block"},
		},
	}
	if got := c.Targets(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// Everything that is wrong with a file is told at once, with its line and key.
func TestTargetMistakes(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "f:1: targets: it is missing: the file is empty"},
		{"# nothing\n", "f:1: targets: it is missing: the file is empty"},
		{"\n- a\n", "f:2: targets: it is missing: the file has to be a mapping"},
		{"target: []", "f:1: target: there is no such key: the nearest is targets\nf:1: targets: it is missing"},
		{"targets: []", "f:1: targets: it has to be a list"},
		{"targets: 5", "f:1: targets: it has to be a list"},
		{"targets: [5]", "f:1: targets: a target has to be a mapping"},
		{"targets: [{name: a}]\n---\ntargets: []", "f:2: targets: only one YAML document"},
		{"targets: [{name: a}]\n}", "f: line "},
		{"targets:\n- {}", "f:2: name: it is missing"},
		{"targets:\n- {name: }", `f:2: name: want a name of up to 32 letters`},
		{"targets:\n- {name: " + strings.Repeat("x", 33) + "}", `f:2: name: got "xxxx`},
		{"targets:\n- name: a\n- name: a", `f:3: name: "a" is the name of the target in line 2, too`},
		{"targets:\n- name: a\n  name: b", "f:3: name: it is there twice"},
		{"targets:\n- name: a\n  write_per_second: 1\n  scop: REGIONAL\n  region: Berlin", "f:3: write_per_second: there is no such key: the nearest is writes_per_second\nf:4: scop: there is no such key: the nearest is scope\nf:5: region: got \"Berlin\", want an AWS region"},
		{"targets:\n- name: a\n  region: eu-west-1", `f:2: region: got "eu-west-1", want none: everything of scope CLOUDFRONT is in us-east-1`},
		{"targets:\n- name: a\n  external_id: xy", "f:2: external_id: set, and no role is that could ask for it"},
		{"targets:\n- name: a\n  scope: [REGIONAL]", "f:3: scope: want CLOUDFRONT or REGIONAL"},
		{"targets:\n- name: a\n  sets: []", `f:3: sets: got "", want a list of name prefixes`},
		{"targets:\n- name: a\n  sets: [a, {b: c}]", "f:3: sets: want a list of name prefixes"},
		{"targets:\n- name: a\n  sets: [a, 'b,c']", `f:3: sets: "b,c" holds a comma`},
		{"targets:\n- name: a\n  sets: &x [*x]", "f:3: sets: want a list of name prefixes"},
		{"targets:\n- name: a\n  dry_run: yes", `f:3: dry_run: got "yes", want true or false`},
		{"targets:\n- name: a\n  block_status: 200", `f:3: block_status: got "200", want an HTTP status`},
	} {
		list, err := parseTargets("f", tc.text, Target{Scope: "CLOUDFRONT", Sets: []string{"weir-"}})
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q:\ngot  %v, %v\nwant %s", tc.text, list, err, tc.want)
		}
	}
	list, err := parseTargets("f", "targets:\n- {name: a, origins: heaven}\n- {name: b, scop: REGIONAL, origins: hell}\n- 5", Target{Scope: "CLOUDFRONT"})
	if err == nil || len(list) != 2 || list[0].Wrong || !list[1].Wrong || list[1].Origins[0] != "hell" {
		t.Errorf("of a file with mistakes in it %+v is left, %v", list, err)
	}
	_, err = load(t, []string{"WEIR_WAF_TARGETS=testdata/none.yaml"})
	if err == nil || !strings.Contains(err.Error(), "WEIR_WAF_TARGETS (-waf-targets): read the targets: open testdata/none.yaml") {
		t.Errorf("got %v", err)
	}
	_, err = load(t, []string{"WEIR_WAF_REGION=eu-west-1", "WEIR_WAF_EXTERNAL_ID=xy"})
	for _, want := range []string{"WEIR_WAF_REGION (-waf-region): got", "WEIR_WAF_EXTERNAL_ID (-waf-external-id): set, and no role"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Whatever a file holds, it is either understood, each target with a name of its
// own, or an error that names the file.
func FuzzTargets(f *testing.F) {
	for _, s := range []string{"", "targets: [{name: a}, {name: b, sets: [x, y]}]", "targets:\n- name: a\n  <<: {x: y}", "a: &a [*a]", "targets: *x", "%YAML 1.1\n---\n{}", "\xff", "? []\n: {}", "{0\n\n0}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseTargets("f", text, Target{Scope: "CLOUDFRONT"})
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") {
					t.Fatalf("%q: %q names no file", text, line)
				}
			}
			return
		}
		names := map[string]bool{}
		for _, target := range list {
			if names[target.Name] || !targetForm.MatchString(target.Name) {
				t.Fatalf("%q: name %q", text, target.Name)
			}
			names[target.Name] = true
		}
		if len(list) == 0 {
			t.Fatalf("%q: no target and no error", text)
		}
	})
}
