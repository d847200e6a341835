package waf

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// Selection says which IP sets a [Writer] owns, and what each is for.
type Selection struct {
	Prefixes []SetPrefix // the longest that fits a name counts
	ARNs     []SetARN
}

// SetPrefix selects the IP sets whose names start with Prefix.
type SetPrefix struct {
	Prefix string
	Pool   string // one of PoolWords; "" = it follows from the rest of the name
}

// SetARN selects one IP set.
type SetARN struct {
	ARN  ARN
	Pool string // one of PoolWords
}

// ParseSets reads the setting that names the IP sets: name prefixes and ARNs, the
// latter all of the given scope, one account and one region. Every error is
// reported, and names what it is about.
//
// In front of each may stand what its sets are for, as one of [PoolWords]:
// "captcha=suspects-". Without, the names say it: "weir-" takes weir-captcha-v4-0
// for captchas, and so does "weir-captcha-". A name that says nothing, as weir-trusted,
// is not taken: what people made for purposes of their own is no place for bans.
func ParseSets(list []string, scope types.Scope) (Selection, error) {
	if len(list) == 0 {
		return Selection{}, errors.New("no IP sets named: give name prefixes or ARNs")
	}
	var sel Selection
	var errs []error
	for _, s := range list {
		word, rest, said := strings.Cut(s, "=")
		if !said {
			word, rest = "", s
		} else if _, ok := keyOf(word); !ok {
			errs = append(errs, fmt.Errorf("%q: %q is no use of IP sets: want one of %s", s, word, strings.Join(PoolWords(), ", ")))
			continue
		}
		var err error
		if strings.HasPrefix(rest, "arn:") {
			err = sel.addARN(word, rest, scope)
		} else {
			err = sel.addPrefix(word, rest)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return Selection{}, err
	}
	return sel, nil
}

func (sel *Selection) addPrefix(word, prefix string) error {
	if !regexp.MustCompile(`^[\w-]{1,128}$`).MatchString(prefix) {
		return fmt.Errorf("%q cannot start the name of an IP set: letters, digits, - and _ only", prefix)
	}
	if slices.ContainsFunc(sel.Prefixes, func(p SetPrefix) bool { return p.Prefix == prefix }) {
		return fmt.Errorf("%q is named twice", prefix)
	}
	sel.Prefixes = append(sel.Prefixes, SetPrefix{prefix, word})
	// The longest first, so that the first that fits counts.
	slices.SortStableFunc(sel.Prefixes, func(a, b SetPrefix) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	return nil
}

// setName is how bootstrap names IP sets, for what is in front of "-v4-0".
const setName = `(?:^|[-_])((?:list-)?(?:block|captcha|challenge|count)|list)-v[46]-\d+$`

func (sel *Selection) addARN(word, text string, scope types.Scope) error {
	a, err := ParseARN("ipset", text)
	switch {
	case err != nil:
		return err
	case a.Scope != scope:
		return fmt.Errorf("%q is of scope %s, not %s", text, a.Scope, scope)
	}
	for _, other := range sel.ARNs {
		if a.ID == other.ARN.ID {
			return fmt.Errorf("%q is named twice", text)
		}
		if o := other.ARN; a.Region != o.Region || a.Account != o.Account {
			return fmt.Errorf("%q is not in the account and region of %q", text, o)
		}
	}
	if word == "" {
		word = actBlock.String()
		if m := regexp.MustCompile(setName).FindStringSubmatch(a.Name); m != nil {
			word = strings.Replace(m[1], "list-block", listWord, 1)
		}
	}
	sel.ARNs = append(sel.ARNs, SetARN{a, word})
	return nil
}

// pool says what a set of this name is for; false: no prefix selects it.
func (sel *Selection) pool(name string) (poolKey, bool) {
	for _, p := range sel.Prefixes {
		rest, ok := strings.CutPrefix(name, p.Prefix)
		if !ok {
			continue
		}
		if p.Pool != "" {
			return keyOf(p.Pool)
		}
		inner, named := leadingWord(rest)
		outer, ends := closingWord(p.Prefix)
		switch {
		case named:
			inner.list = inner.list || ends && outer == poolKey{list: true} // "weir-list-" and "captcha-v4-0"
			return inner, true
		case ends:
			return outer, true
		}
		return poolKey{}, false
	}
	return poolKey{}, false
}

// say lists the prefixes for an error.
func (sel *Selection) say() string {
	var list []string
	for _, p := range sel.Prefixes {
		list = append(list, fmt.Sprintf("%q", p.Prefix))
	}
	return strings.Join(list, " or ")
}
