package filter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr"

	"weir/internal/seeded"
)

// MaxFilters is how many filters a Set holds.
const MaxFilters = 1 << 12

// Facts are the booleans that the caller works out for a record: bit i of them is
// Options.Facts[i].
type Facts [4]uint64

// MaxFacts is how many facts there can be.
const MaxFacts = 256

// Set makes fact i true.
func (f *Facts) Set(i int) { f[i>>6] |= 1 << (i & 63) }

// Has tells whether fact i is true.
func (f *Facts) Has(i int) bool { return f[i>>6]>>(i&63)&1 != 0 }

// Options say what expressions may speak of beside evt.
type Options struct {
	// Facts are names of booleans, such as "weir.login".
	Facts []string

	// Values are names of further values that value expressions may ask for, such as
	// "weir.fingerprint", but no filter. See Matcher.Outside.
	Values []string

	// Hasher makes the fingerprints of values, and the keys under which verdicts on
	// columns are kept. Nil is one of a random seed, so that nobody can choose texts
	// that collide.
	Hasher *seeded.Hasher
}

// A Set holds compiled filters and values. It is immutable: goroutines share it.
type Set struct {
	opt      Options
	filters  []*expression
	formulas []*formula
	first    []masks // of each formula, what rules it out most of the time
	values   []*value
	hasher   *seeded.Hasher

	target  *index
	columns map[fieldID]*index
	words   int // of a record's bits
}

// Compile compiles filters, which are boolean, and values, which are strings: what
// buckets are for, and what is counted only once. The error joins all that is wrong,
// each with file, line and place.
func Compile(filters, values []Source, opt Options) (*Set, error) {
	if len(filters) > MaxFilters {
		return nil, fmt.Errorf("%d filters (at most %d)", len(filters), MaxFilters)
	}
	if len(opt.Facts) > MaxFacts {
		return nil, fmt.Errorf("%d facts (at most %d)", len(opt.Facts), MaxFacts)
	}
	for _, name := range append(opt.Facts[:len(opt.Facts):len(opt.Facts)], opt.Values...) {
		if key, ok := strings.CutPrefix(name, "weir."); !ok || strings.Contains(key, ".") {
			return nil, fmt.Errorf("a fact or value has to be called weir.name, not %q", name)
		}
	}
	s := &Set{opt: opt, hasher: opt.Hasher}
	if s.hasher == nil {
		s.hasher = seeded.New().Hasher()
	}
	var errs []error
	world := recordWorld(opt.Facts)
	for _, src := range filters {
		x, err := world.parse(src, expr.AsBool())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n, why, err := x.compile(opt.Facts)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.filters = append(s.filters, x)
		s.formulas = append(s.formulas, &formula{root: n, why: why})
	}
	for _, src := range values {
		v, err := compileValue(src, opt)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.values = append(s.values, v)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.assign()
	return s, nil
}

// assign gives every atom a bit, first the facts, then those of path and query, then of
// each other column; every group begins a word.
func (s *Set) assign() {
	groups := map[fieldID]map[string]*atom{}
	var list [numFields][]*atom
	for _, f := range s.formulas {
		f.root.atoms(func(a **atom) {
			if (*a).fact >= 0 {
				(*a).bit = (*a).fact
				return
			}
			group := (*a).field
			if group <= lastOfTarget {
				group = fieldPath
			}
			if groups[group] == nil {
				groups[group] = map[string]*atom{}
			}
			key := (*a).key()
			if groups[group][key] == nil {
				groups[group][key] = *a
				list[group] = append(list[group], *a)
			}
			*a = groups[group][key]
		})
	}
	s.words = (len(s.opt.Facts) + 63) / 64
	s.columns = map[fieldID]*index{}
	for group, atoms := range list {
		if len(atoms) == 0 {
			continue
		}
		base := s.words * 64
		for i, a := range atoms {
			a.bit = base + i
		}
		ix := newIndex(atoms, base)
		s.words += ix.atoms
		if fieldID(group) == fieldPath {
			s.target = ix
		} else {
			s.columns[fieldID(group)] = ix
		}
	}
	s.words = max(1, s.words)
	for _, f := range s.formulas {
		f.finish(s.words)
		var first masks
		if len(f.needs) > 0 {
			first = f.needs[0]
		}
		s.first = append(s.first, first)
	}
}
