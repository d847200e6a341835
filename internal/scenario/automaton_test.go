package scenario

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// findSlowly is what find does, in the plainest way.
func findSlowly(needles []needle, text string) facts {
	var found facts
	for _, n := range needles {
		for i := range text {
			if strings.HasPrefix(text[i:], n.text) && standsSlowly(n, text, i) {
				found |= n.facts
			}
		}
	}
	return found
}

func standsSlowly(n needle, text string, i int) bool {
	before, after := text[:i], text[i+len(n.text):]
	word := func(s string) bool {
		return s != "" && strings.Contains("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", s)
	}
	last, first := "", ""
	if before != "" {
		last = before[len(before)-1:]
	}
	if after != "" {
		first = after[:1]
	}
	return !(n.edge&wordStart != 0 && word(last)) && !(n.edge&wordEnd != 0 && word(first)) &&
		!(n.edge&atStart != 0 && before != "") && !(n.edge&atEnd != 0 && after != "")
}

// Few letters, so that needles overlap, hold each other and nearly occur.
var fewLetters = rapid.StringOfN(rapid.SampledFrom([]rune("ab/. ")), 1, 6, -1)

func TestAutomatonFindsWhatASlowSearchFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(fewLetters, 1, 12).Draw(t, "needles")
		needles := make([]needle, len(texts))
		for i, text := range texts {
			needles[i] = needle{text, 1 << i, edge(rapid.IntRange(0, 15).Draw(t, "edge"))}
		}
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab/. \x00Z")), 0, 40, -1).Draw(t, "text")
		if got, want := newAutomaton(needles).find([]byte(text)), findSlowly(needles, text); got != want {
			t.Fatalf("found %b in %q, want %b", got, text, want)
		}
	})
}

func TestAutomatonFindsEveryNeedleOfTheLists(t *testing.T) {
	for name, needles := range map[string][]needle{
		"paths": join(pathNeedles(), payloadNeedles()), "payloads": payloadNeedles(), "agents": join(agentNeedles(), crawlerNeedles()),
	} {
		a := newAutomaton(needles)
		for _, n := range needles {
			if strings.ContainsFunc(n.text, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
				t.Errorf("%s: %q is not in lower case", name, n.text)
			}
			if a.find([]byte(n.text))&n.facts != n.facts {
				t.Errorf("%s: %q is not found in itself", name, n.text)
			}
		}
	}
}
