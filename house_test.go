// Package house holds the tests of what no compiler watches: which package may
// import which, and the habits that keep the house tidy.
package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors says what each package of ours may import of ours: only the stages
// whose output it reads. A new package needs a line here. Nothing imports cmd
// or bench, which may import everything.
var floors = map[string][]string{
	"internal/config":   {},
	"internal/watchdog": {},

	"internal/cloudfront":          {},
	"internal/match":               {},
	"internal/prefetch":            {},
	"internal/seeded":              {},
	"internal/payload":             {"internal/cloudfront", "internal/match"},
	"internal/agent":               {"internal/cloudfront", "internal/match", "internal/seeded"},
	"internal/filter":              {"internal/cloudfront", "internal/match", "internal/prefetch", "internal/seeded"},
	"internal/scenario":            {"internal/cloudfront", "internal/filter", "internal/match", "internal/payload", "internal/agent", "internal/prefetch", "internal/seeded"},
	"internal/detect":              {"internal/cloudfront", "internal/scenario", "internal/prefetch", "internal/seeded"},
	"internal/reserved":            {},
	"internal/ban":                 {"internal/detect", "internal/scenario", "internal/reserved", "internal/dynamo"},
	"internal/pipeline":            {"internal/cloudfront", "internal/detect", "internal/ban", "internal/watchdog"},
	"internal/api":                 {"internal/ban", "internal/detect"},
	"internal/source/file":         {},
	"internal/source/kinesis":      {"internal/awshttp", "internal/watchdog", "internal/dynamo"},
	"internal/leader":              {"internal/awshttp"},
	"internal/waf":                 {"internal/reserved", "internal/watchdog"},
	"internal/snapshot":            {"internal/awshttp"},
	"internal/rekey":               {"internal/awshttp", "internal/cloudfront", "internal/detect", "internal/scenario", "internal/watchdog"},
	"internal/awshttp":             {},
	"internal/dynamo":              {},
	"internal/awslocal":            {"internal/awslocal/expression"},
	"internal/awslocal/expression": {},
	"internal/awslocal/npm":        {},
	"internal/traffic":             {},
}

// outside says who alone may import what is not ours.
var outside = []struct {
	imports string // a path, or the start of one that ends in a slash
	by      []string
}{
	{"github.com/aws/", []string{"internal/source/kinesis", "internal/leader", "internal/snapshot", "internal/rekey", "internal/waf", "internal/awslocal", "internal/awshttp", "internal/dynamo", "internal/ban", "cmd", "bench"}},
	{"github.com/vmware/", []string{"internal/source/kinesis"}},
	{"modernc.org/", []string{"internal/ban"}},
	{"net/http", []string{"internal/agent", "internal/api", "internal/awslocal", "internal/awshttp", "cmd", "bench"}},
}

// A source is one file of Go that is not a test.
type source struct {
	name  string // of the file, with slashes
	pkg   string // its directory: "internal/detect"
	file  *ast.File
	lines int
}

func (s source) imports() (paths []string) {
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic("BUG: the parser let an import through: " + err.Error())
		}
		paths = append(paths, p)
	}
	return paths
}

// sources reads every file. It does so by itself, and not through go list, so
// that the result of these tests is kept only as long as no file changes.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		list = append(list, source{name, path.Dir(name), file, bytes.Count(text, []byte("\n"))})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// top reports whether a package is one of the commands on top of the house.
func top(pkg string) bool { return strings.HasPrefix(pkg, "cmd/") || strings.HasPrefix(pkg, "bench/") }

func TestImportsGoDownwards(t *testing.T) {
	for _, s := range sources(t) {
		may, known := floors[s.pkg]
		if !known && !top(s.pkg) {
			t.Errorf("%s: package %s has no line in floors", s.name, s.pkg)
			continue
		}
		for _, imported := range s.imports() {
			ours, isOurs := strings.CutPrefix(imported, "weir/")
			switch {
			case isOurs && top(s.pkg) && top(ours):
				t.Errorf("%s imports %s, and nothing may", s.name, ours)
			case isOurs && !top(s.pkg) && !slices.Contains(may, ours):
				t.Errorf("%s imports %s, and %s may import %q", s.name, ours, s.pkg, may)
			}
		}
	}
}

// TestFloorsHaveNoStairsUp: the table itself has no circle, and no line for a
// package that is gone.
func TestFloorsHaveNoStairsUp(t *testing.T) {
	there := make(map[string]bool)
	for _, s := range sources(t) {
		there[s.pkg] = true
	}
	var climb func(pkg string, above []string)
	climb = func(pkg string, above []string) {
		if slices.Contains(above, pkg) {
			t.Fatalf("circle: %q, %s", above, pkg)
		}
		for _, below := range floors[pkg] {
			climb(below, append(above, pkg))
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(floors)) {
		if !there[pkg] {
			t.Errorf("floors has a line for %s, which does not exist", pkg)
		}
		climb(pkg, nil)
	}
}

func TestImportsFromOutside(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports() {
			for _, rule := range outside {
				if imported != rule.imports && !(strings.HasSuffix(rule.imports, "/") && strings.HasPrefix(imported, rule.imports)) {
					continue
				}
				if floor, _, _ := strings.Cut(s.pkg, "/"); !slices.Contains(rule.by, s.pkg) && !slices.Contains(rule.by, floor) {
					t.Errorf("%s imports %s, and only %q may", s.name, imported, rule.by)
				}
			}
		}
	}
}

func TestPackagesHaveNamesAndDocs(t *testing.T) {
	docs := make(map[string]string)
	for _, s := range sources(t) {
		docs[s.pkg] += s.file.Doc.Text()
		switch name := s.file.Name.Name; name {
		case "types", "model", "models", "util", "utils", "common", "helpers", "errors", "metrics":
			t.Errorf("%s: package %s is named for what is put there, not for what it does", s.name, name)
		}
	}
	for pkg, doc := range docs {
		start := "Package " + path.Base(pkg) + " "
		if top(pkg) {
			start = "Command " + path.Base(pkg) + " "
		}
		if !strings.HasPrefix(doc, start) {
			t.Errorf("the doc comment of %s does not start with %q", pkg, start)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	const most = 500 // lines
	for _, s := range sources(t) {
		if s.lines > most {
			t.Errorf("%s has %d lines: is it two?", s.name, s.lines)
		}
	}
}

// TestNothingHidden: no package does anything before main, and none but the
// commands looks at the environment.
func TestNothingHidden(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s has an init function", s.name)
				}
			case *ast.SelectorExpr:
				x, isName := n.X.(*ast.Ident)
				if isName && x.Name == "os" && !top(s.pkg) && slices.Contains([]string{"Getenv", "LookupEnv", "Environ"}, n.Sel.Name) {
					t.Errorf("%s reads the environment (os.%s): have a setting handed in", s.name, n.Sel.Name)
				}
			}
			return true
		})
	}
}
