package scenario

import (
	"strings"
	"testing"
	"time"
)

func TestCompileErrors(t *testing.T) {
	list, err := parse("good.yaml", []byte("{type: leaky, name: good, filter: weir.post, groupby: weir.client, capacity: 1, leakspeed: 1s}"), lookup{})
	if err != nil {
		t.Fatal(err)
	}
	good := list[0]
	for _, tt := range []struct {
		name   string
		change func(*Scenario)
		want   string
	}{
		{"no name", func(s *Scenario) { s.Name = "" }, "no name"},
		{"no capacity", func(s *Scenario) { s.Capacity = 0 }, "capacity 0"},
		{"too much capacity", func(s *Scenario) { s.Capacity = MaxCapacity + 1 }, "capacity 100001"},
		{"no leak", func(s *Scenario) { s.Leak = 0 }, "leakspeed 0s"},
		{"slow leak", func(s *Scenario) { s.Leak = 25 * time.Hour }, "leakspeed 25h"},
		{"trigger with capacity", func(s *Scenario) { s.Kind = Trigger }, "neither capacity nor leakspeed"},
		{"kind", func(s *Scenario) { s.Kind = 9 }, "Kind(9)"},
		{"mode", func(s *Scenario) { s.Mode = 9 }, "Mode(9)"},
		{"blackhole", func(s *Scenario) { s.Blackhole = -1 }, "blackhole -1ns"},
		{"ban", func(s *Scenario) { s.Ban = time.Millisecond }, "ban 1ms"},
		{"action", func(s *Scenario) { s.Action = "ban" }, `action "ban"`},
	} {
		s := good
		tt.change(&s)
		if _, err := Compile([]Scenario{good, s}, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := Compile([]Scenario{good, good}, Options{}); err == nil || !strings.Contains(err.Error(), "good is taken") {
		t.Errorf("two of one name: error %v", err)
	}
	if _, err := Compile(nil, Options{}); err != nil {
		t.Errorf("no scenarios at all: error %v", err)
	}
}

func TestCompileKeepsItsOwnList(t *testing.T) {
	list := Catalogue()
	set, err := Compile(list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	list[0].Name = "changed"
	if set.At(0).Name == "changed" || set.Len() != len(list) {
		t.Error("the set shares the caller's list")
	}
}
