package filter

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/expr-lang/expr"
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
}

// A Set holds compiled filters and values. It is immutable: goroutines share it.
type Set struct {
	opt     Options
	filters []*expression
	values  []*value
	seed    maphash.Seed
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
	s := &Set{opt: opt, seed: maphash.MakeSeed()}
	var errs []error
	world := recordWorld(opt.Facts)
	for _, src := range filters {
		x, err := world.parse(src, expr.AsBool())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.filters = append(s.filters, x)
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
	return s, nil
}
