package filter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

// sharedDir finds a folder of the shared material: where WEIR_SHARED says, or beside
// the repository. Where there is none, the test is skipped, but in CI it fails.
func sharedDir(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared material is missing, and this is CI: %v", err)
		}
		t.Skipf("SKIPPED, the shared material is missing: %v", err)
	}
	return dir
}

type hubScenario struct {
	Name, Filter, Groupby, Distinct string
	Data                            []struct {
		File string `yaml:"dest_file"`
		Type string
	}
}

// hubSources reads every scenario of the hub: its filters, and its values.
func hubSources(t testing.TB) (filters, values []Source) {
	dir := sharedDir(t, "hub")
	files, err := filepath.Glob(filepath.Join(dir, "scenarios", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", dir, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for docs := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var s hubScenario
			if err := docs.Decode(&s); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s.Filter == "" {
				continue
			}
			src := Source{Name: s.Name, File: filepath.Base(name), Line: 1, Data: func(file string) (*Data, error) {
				for _, d := range s.Data {
					if d.File != file {
						continue
					}
					text, err := os.ReadFile(filepath.Join(dir, "data", file))
					if err != nil {
						return nil, err
					}
					return ParseData(file, d.Type, bytes.NewReader(text))
				}
				return nil, fmt.Errorf("not among the data of the scenario: %s", file)
			}}
			for _, text := range []string{s.Groupby, s.Distinct} {
				if text != "" {
					value := src
					value.Text = text
					values = append(values, value)
				}
			}
			src.Text = s.Filter
			filters = append(filters, src)
		}
	}
	return filters, values
}

func TestHubCompiles(t *testing.T) {
	filters, values := hubSources(t)
	s, err := Compile(filters, values, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range s.formulas {
		if f.partial {
			t.Errorf("%s is interpreted: %s", filters[i].Name, f.why)
		}
	}
	for i, v := range s.values {
		if v.plain != nil {
			t.Errorf("%s: the value %s is interpreted", values[i].Name, values[i].Text)
		}
	}
	t.Logf("%d filters, %d values", len(filters), len(values))
}
