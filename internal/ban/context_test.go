package ban

import (
	"fmt"
	"slices"
	"testing"

	"weir/internal/detect"
)

func TestNewContext(t *testing.T) {
	a := alert("192.0.2.1/32", noon)
	a.Samples = nil
	for i := range 25 {
		a.Samples = append(a.Samples, detect.Sample{
			Time: noon.UnixMilli() + int64(i), RequestID: fmt.Sprint(i),
			Path: fmt.Sprintf("/%02d", i%12), UserAgent: []string{"b", "a", ""}[i%3], Country: "NL",
		})
	}
	c := newContext(&a)
	if len(c.Samples) != 20 || c.Samples[0].RequestID != "5" || c.Samples[19].RequestID != "24" {
		t.Errorf("%d samples, from %s to %s; want the latest 20", len(c.Samples), c.Samples[0].RequestID, c.Samples[len(c.Samples)-1].RequestID)
	}
	if len(c.Paths) != 10 || c.Paths[0] != (Tally{"/00", 2}) || c.Paths[9] != (Tally{"/02", 1}) {
		t.Errorf("paths: %v", c.Paths)
	}
	if want := []Tally{{"b", 7}, {"a", 6}}; !slices.Equal(c.UserAgents, want) {
		t.Errorf("user agents: %v, want %v", c.UserAgents, want)
	}
	if want := []Tally{{"NL", 20}}; !slices.Equal(c.Countries, want) || len(c.ASNs) != 0 {
		t.Errorf("countries: %v, ASNs: %v", c.Countries, c.ASNs)
	}
}
