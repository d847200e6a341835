package waf

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDescriptionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := description{
			gen: rapid.Uint64().Draw(t, "gen"), n: rapid.IntRange(0, 10_000).Draw(t, "n"),
			sum: rapid.Uint64().Draw(t, "sum"), exp: rapid.Int64Range(0, math.MaxUint32).Draw(t, "exp"),
		}
		d.marks = rapid.SliceOfN(rapid.Uint64Range(0, 1<<36-1), 0, 30).Draw(t, "marks")
		d.hand = len(d.marks)
		text := d.String()
		if len(text) > descriptionLimit || !descriptionForm.MatchString(text) {
			t.Fatalf("AWS takes no description like %q", text)
		}
		got, ok := parseDescription(text)
		if !ok || got.gen != d.gen || got.n != d.n || got.sum != d.sum || got.exp != d.exp || got.hand != d.hand {
			t.Fatalf("%q gave %+v", text, got)
		}
		want := slices.Sorted(slices.Values(d.marks))
		if d.hand > marksLimit {
			want = nil
		}
		if !slices.Equal(got.marks, want) {
			t.Fatalf("%q gave marks %v, want %v", text, got.marks, want)
		}
	})
}

func TestParseDescriptionRefuses(t *testing.T) {
	for _, s := range []string{
		"", "IP addresses to block", "weir v2 gen:1 n:1 sum:1 exp:1", "weir v1", "weir v1 gen:1 n:1 sum:1",
		"weir v1 gen:x n:1 sum:1 exp:1", "weir v1 gen:1 n:-1 sum:1 exp:1", "weir v1 gen:1 n:1 sum:xyz exp:1",
		"weir v1 gen:1 n:1 sum:1 exp:1 hand:2:AAAAAA", "weir v1 gen:1 n:1 sum:1 exp:1 hand:1:AAAAA.",
		"weir v1 gen:1 n:1 sum:1 exp:1 hand:-1", "weir v1 gen:1 n:1 n:1 sum:1 exp:1",
	} {
		if d, ok := parseDescription(s); ok {
			t.Errorf("%q was taken for %+v", s, d)
		}
	}
	if _, ok := parseDescription("weir v1 ep:17 gen:1 n:1 sum:1 exp:1 later:x"); !ok {
		t.Error("fields of a later version are to be passed over")
	}
}

func FuzzParseDescription(f *testing.F) {
	f.Add("weir v1 gen:9123 n:9870 sum:5f3a9c11d0e1f223 exp:1795350821 hand:1:Ab3_-9")
	f.Add("weir v1 gen:1 n:0 sum:0 exp:0 hand:30")
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseDescription(s)
		if !ok {
			return
		}
		again, ok := parseDescription(d.String())
		if !ok || again.gen != d.gen || again.n != d.n || again.sum != d.sum || again.exp != d.exp || again.hand != d.hand {
			t.Errorf("%q: %+v, then %+v", s, d, again)
		}
	})
}

func TestEvidence(t *testing.T) {
	ours := numbered(v4, 0, 100)
	hand := numbered(v4, 500, 3)
	all := slices.Concat(ours, hand)
	d := description{n: len(all), sum: checksum(all, nil), hand: 3}
	for _, p := range hand {
		d.marks = append(d.marks, mark(p))
	}
	text := d.String()
	late := v4(900)
	expect := func(what string, ev evidence, weir bool, theirs ...netip.Prefix) {
		t.Helper()
		if ev.weir != weir {
			t.Errorf("%s: a Weir wrote it: %v", what, ev.weir)
		}
		for _, p := range ours {
			if ev.ours(p) != weir {
				t.Errorf("%s: %s is ours: %v", what, p, ev.ours(p))
			}
		}
		for _, p := range theirs {
			if ev.ours(p) || !ev.hands(p) {
				t.Errorf("%s: %s is not seen to be added by hand", what, p)
			}
		}
	}
	shuffled := slices.Clone(all)
	slices.Reverse(shuffled)
	expect("as written", examine(text, shuffled, nil), true, hand...)
	expect("one added", examine(text, append(shuffled, late), nil), true, append(hand, late)...)
	expect("two added", examine(text, append(shuffled, late, v4(901)), nil), false)
	expect("one removed", examine(text, shuffled[1:], nil), false)
	expect("one replaced", examine(text, append(shuffled[1:], late), nil), false)
	expect("unreadable added", examine(text, shuffled, []string{"?"}), false)
	expect("not a Weir's", examine("blocked addresses", shuffled, nil), false)

	d.hand, d.marks = 30, nil // too many to name: nobody's entries are called ours
	ev := examine(d.String(), all, nil)
	if !ev.weir || ev.ours(ours[0]) || ev.hands(hand[0]) {
		t.Errorf("%+v", ev)
	}
}
