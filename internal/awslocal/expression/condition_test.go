package expression

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A twin is a condition over small numbers, as text and as plain Go.
type twin struct {
	text  string
	holds func(it map[string]int) bool
	loose int // how loosely it binds: 0 as a comparison, 1 NOT, 2 AND, 3 OR
}

// in puts parentheses around a condition that binds looser than allowed.
func (w twin) in(loosest int) string {
	if w.loose > loosest {
		return "(" + w.text + ")"
	}
	return w.text
}

func someTwin(depth int) *rapid.Generator[twin] {
	return rapid.Custom(func(t *rapid.T) twin {
		kind := 0
		if depth > 0 {
			kind = rapid.IntRange(0, 3).Draw(t, "kind")
		}
		switch kind {
		case 1:
			of := someTwin(depth-1).Draw(t, "of")
			return twin{"NOT " + of.in(1), func(it map[string]int) bool { return !of.holds(it) }, 1}
		case 2:
			l, r := someTwin(depth-1).Draw(t, "l"), someTwin(depth-1).Draw(t, "r")
			return twin{l.in(2) + " AND " + r.in(1), func(it map[string]int) bool { return l.holds(it) && r.holds(it) }, 2}
		case 3:
			l, r := someTwin(depth-1).Draw(t, "l"), someTwin(depth-1).Draw(t, "r")
			return twin{l.in(3) + " OR " + r.in(2), func(it map[string]int) bool { return l.holds(it) || r.holds(it) }, 3}
		}
		return someTest(t)
	})
}

// someTest draws a comparison of an attribute with a number.
func someTest(t *rapid.T) twin {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	n := rapid.IntRange(0, 3).Draw(t, "n")
	m := rapid.IntRange(n, 3).Draw(t, "m")
	tests := map[string]func(v int, ok bool) bool{
		fmt.Sprintf("%s = :%d", name, n):                  func(v int, ok bool) bool { return ok && v == n },
		fmt.Sprintf("%s <> :%d", name, n):                 func(v int, ok bool) bool { return !ok || v != n },
		fmt.Sprintf("%s < :%d", name, n):                  func(v int, ok bool) bool { return ok && v < n },
		fmt.Sprintf(":%d <= %s", n, name):                 func(v int, ok bool) bool { return ok && n <= v },
		fmt.Sprintf("%s BETWEEN :%d AND :%d", name, n, m): func(v int, ok bool) bool { return ok && n <= v && v <= m },
		fmt.Sprintf("%s IN (:%d, :%d)", name, n, m):       func(v int, ok bool) bool { return ok && (v == n || v == m) },
		fmt.Sprintf("attribute_exists(%s)", name):         func(_ int, ok bool) bool { return ok },
		fmt.Sprintf("attribute_not_exists(%s)", name):     func(_ int, ok bool) bool { return !ok },
	}
	text := rapid.SampledFrom(slices.Sorted(maps.Keys(tests))).Draw(t, "test")
	return twin{text, func(it map[string]int) bool { v, ok := it[name]; return tests[text](v, ok) }, 0}
}

// A condition means what plain Go makes of it, however it is nested.
func TestConditionProperty(t *testing.T) {
	values := make(map[string]Value)
	for n := range 4 {
		values[fmt.Sprint(":", n)] = number(n)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := someTwin(4).Draw(t, "condition")
		p, err := NewPlaceholders(nil, values)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Condition(want.text)
		if err != nil {
			t.Fatalf("%s: %v", want.text, err)
		}
		for range 5 {
			plain := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.IntRange(0, 3), 0, 3).Draw(t, "item")
			it := make(Item)
			for name, n := range plain {
				it[name] = number(n)
			}
			if got := c.Holds(it); got != want.holds(plain) {
				t.Fatalf("%s of %v: %v", want.text, plain, got)
			}
		}
	})
}

func TestAllUsed(t *testing.T) {
	one := number(1)
	p, err := NewPlaceholders(map[string]string{"#a": "a", "#b": "b"}, map[string]Value{":a": one, ":b": one})
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct{ condition, unused string }{
		{"#a = :a", "#b"}, {"#b = :a", ":b"}, {"#b = :b", ""},
	}
	for _, s := range steps {
		if _, err := p.Condition(s.condition); err != nil {
			t.Fatal(err)
		}
		err := p.AllUsed()
		if (err == nil) != (s.unused == "") || err != nil && !strings.Contains(err.Error(), s.unused) {
			t.Errorf("after %s: %v, want %q to be unused", s.condition, err, s.unused)
		}
	}
}

func TestReservedWords(t *testing.T) {
	if n := len(reservedSet()); n != 573 {
		t.Errorf("%d reserved words, DynamoDB has 573", n)
	}
	for _, word := range []string{"name", "Status", "OWNER", "ttl"} {
		if !isReserved(word) {
			t.Errorf("%s is reserved", word)
		}
	}
	for _, name := range []string{"AssignedTo", "Checkpoint", "LeaseTimeout", "ShardID", "ParentShardId", "ClaimRequest"} {
		if isReserved(name) {
			t.Errorf("KCL's %s is not reserved", name)
		}
	}
}

func TestNestingIsBounded(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"L":[`, n) + `{"S":"x"}` + strings.Repeat(`]}`, n) }
	var v Value
	if err := json.Unmarshal([]byte(deep(maxNesting)), &v); err != nil {
		t.Errorf("%d levels: %v", maxNesting, err)
	}
	if err := json.Unmarshal([]byte(deep(maxNesting+1)), &v); err == nil {
		t.Errorf("%d levels are taken", maxNesting+1)
	}
}
