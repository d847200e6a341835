package scenario

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Builtin names the catalogue where directories and files are named.
const Builtin = "builtin"

//go:embed builtin/*.yaml
var builtin embed.FS

// Catalogue returns the built-in scenarios, sorted by name. The list is the
// caller's own.
func Catalogue() []Scenario {
	list, err := load(embedded{}, Builtin)
	if err != nil {
		panic("BUG: the built-in catalogue: " + err.Error())
	}
	for i := range list {
		list[i].Origin = "built-in"
	}
	slices.SortFunc(list, func(a, b Scenario) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Load returns the scenarios of directories and files, in that order, and of the
// built-in catalogue where a path is Builtin. Of a directory it takes what ends in
// .yaml or .yml, at any depth and sorted by path, but nothing whose name begins with
// a dot. Data files are looked for beside the file that asks for them, in data
// beside it, and in data beside its directory, as the CrowdSec hub has it; none is
// fetched.
//
// The error names everything that is wrong, by file, line and key.
func Load(paths []string) ([]Scenario, error) {
	var list []Scenario
	var errs []error
	for i, p := range paths {
		if slices.Contains(paths[:i], p) {
			errs = append(errs, fmt.Errorf("%s: it is listed twice", p))
			continue
		}
		if p == Builtin {
			list = append(list, Catalogue()...)
			continue
		}
		more, err := load(disk{}, p)
		if err != nil {
			errs = append(errs, err)
		}
		if err == nil && len(more) == 0 {
			errs = append(errs, fmt.Errorf("%s: there is no scenario: a directory with files that end in .yaml or such a file is wanted", p))
		}
		list = append(list, more...)
	}
	return list, errors.Join(append(errs, taken(list)...)...)
}

// taken returns an error for each name that comes twice.
func taken(list []Scenario) (errs []error) {
	origin := map[string]string{}
	for i := range list {
		s := &list[i]
		if first, ok := origin[s.Name]; ok {
			errs = append(errs, fmt.Errorf("%s: name: %s is taken by the scenario of %s", s.Origin, s.Name, first))
			continue
		}
		origin[s.Name] = s.Origin
	}
	return errs
}

// files is where scenarios are read from.
type files interface {
	read(name string) ([]byte, error)
	walk(root string, f fs.WalkDirFunc) error
	resolve(root string) string
}

type embedded struct{}

func (embedded) read(name string) ([]byte, error)         { return builtin.ReadFile(name) }
func (embedded) resolve(root string) string               { return root }
func (embedded) walk(root string, f fs.WalkDirFunc) error { return fs.WalkDir(builtin, root, f) }

type disk struct{}

func (disk) walk(root string, f fs.WalkDirFunc) error { return filepath.WalkDir(root, f) }

// resolve follows a link, as that is how directories come into containers.
func (disk) resolve(root string) string {
	if target, err := filepath.EvalSymlinks(root); err == nil {
		return target
	}
	return root
}

func (disk) read(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: it has %d bytes, allowed are %d", name, info.Size(), maxFile)
	}
	return os.ReadFile(name)
}

func load(from files, root string) ([]Scenario, error) {
	var list []Scenario
	var errs []error
	root = from.resolve(root)
	err := from.walk(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != root && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir(), name != root && !isYAML(name):
			return nil
		}
		text, err := from.read(name)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		more, err := parse(name, text, lookup{from, path.Dir(filepath.ToSlash(name))})
		if err != nil {
			errs = append(errs, err)
		}
		list = append(list, more...)
		return nil
	})
	return list, errors.Join(append(errs, err)...)
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// A lookup finds the data files of the scenarios of one directory.
type lookup struct {
	from files
	dir  string
}

func (l lookup) find(name string) ([]byte, error) {
	if l.from == nil || !filepath.IsLocal(name) {
		return nil, fmt.Errorf("data file %q: it has to lie beside the scenario", name)
	}
	places := []string{l.dir, path.Join(l.dir, "data"), path.Join(l.dir, "..", "data")}
	for _, place := range places {
		text, err := l.from.read(path.Join(place, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return nil, fmt.Errorf("data file %q: it is in none of %s", name, strings.Join(places, ", "))
}

// A dataFile is a file that the expressions of a scenario may ask for.
type dataFile struct {
	name string
	kind string // one of dataKinds
	line int
}

var dataKinds = []string{"string", "regexp", "map"}

// data returns the content of a data file that the scenario declares.
func (s *Scenario) data(name string) (kind string, content []byte, err error) {
	for _, f := range s.files {
		if f.name == name {
			content, err = s.lookup.find(name)
			return f.kind, content, err
		}
	}
	return "", nil, fmt.Errorf("data file %q: the scenario's data does not list it", name)
}
