package waf

import (
	"fmt"
	"slices"
	"strings"
)

// action is what WAF does with the requests that an IP set matches, the strongest
// first.
type action uint8

const (
	actBlock action = iota
	actCaptcha
	actChallenge
	actCount
	actions // how many there are
)

var actionWords = [actions]string{"block", "captcha", "challenge", "count"}

func (a action) String() string { return actionWords[a] }

// actionOf reads an action; "" is block.
func actionOf(word string) (action, bool) {
	if word == "" {
		return actBlock, true
	}
	i := slices.Index(actionWords[:], word)
	return action(max(i, 0)), i >= 0
}

// poolKey names a pool: the IP sets that share entries. Imported lists have pools
// of their own, which are written in the background.
type poolKey struct {
	action action
	list   bool
	family family
}

// poolCount is how many pools there can be.
const poolCount = int(actions) * 2 * int(families)

// index is the key's place in an array of all pools: the hot ones come first.
func (k poolKey) index() int {
	i := int(k.action)*int(families) + int(k.family)
	if k.list {
		i += poolCount / 2
	}
	return i
}

// keyAt is the inverse of index.
func keyAt(i int) poolKey {
	half := poolCount / 2
	return poolKey{action: action(i % half / int(families)), list: i >= half, family: family(i % int(families))}
}

// Word is what a pool is called in names of IP sets, settings, metrics and logs:
// block, captcha, challenge, count; list, list-captcha, list-challenge, list-count.
func (k poolKey) Word() string {
	switch {
	case !k.list:
		return k.action.String()
	case k.action == actBlock:
		return listWord
	}
	return listWord + "-" + k.action.String()
}

func (k poolKey) String() string { return k.Word() + " " + k.family.String() }

const listWord = "list"

// PoolWords returns the words of all pools: hot ones first, the strongest action
// first.
func PoolWords() []string {
	var words []string
	for i := 0; i < poolCount; i += int(families) {
		words = append(words, keyAt(i).Word())
	}
	return words
}

// keyOf reads the word of a pool.
func keyOf(word string) (poolKey, bool) {
	for i := 0; i < poolCount; i += int(families) {
		if k := keyAt(i); k.Word() == word {
			return k, true
		}
	}
	return poolKey{}, false
}

// leadingWord gives the pool that name begins with, as in "list-captcha-v4-0": the
// longest word counts.
func leadingWord(name string) (poolKey, bool) {
	return longestWord(func(w string) bool { return strings.HasPrefix(name, w+"-") })
}

// closingWord gives the pool that a prefix ends in, as "bans-captcha-" does. The
// word stands alone: "blocklist-" is no list.
func closingWord(prefix string) (poolKey, bool) {
	return longestWord(func(w string) bool {
		before, ok := strings.CutSuffix(prefix, w+"-")
		return ok && (before == "" || strings.HasSuffix(before, "-") || strings.HasSuffix(before, "_"))
	})
}

func longestWord(fits func(word string) bool) (poolKey, bool) {
	best := ""
	for _, w := range PoolWords() {
		if len(w) > len(best) && fits(w) {
			best = w
		}
	}
	return keyOf(best)
}

// fallback says where entries go whose action no pool serves.
type fallback struct {
	to   action
	none bool // nowhere
}

// parseFallback reads Config.Fallback.
func parseFallback(word string) (fallback, error) {
	if word == "none" {
		return fallback{none: true}, nil
	}
	a, ok := actionOf(word)
	if !ok {
		return fallback{}, fmt.Errorf("fallback %q: want %s or none", word, strings.Join(actionWords[:], ", "))
	}
	return fallback{to: a}, nil
}

// poolFor gives the pool of an entry: that of its action, or where no IP set is
// for it, that of the fallback. Counting never falls back: it is to harm nobody.
// False: the entry is not written.
func (p *plan) poolFor(a action, list bool, f family) (*pool, bool) {
	pl := &p.pools[poolKey{a, list, f}.index()]
	if len(pl.sets) > 0 {
		return pl, true
	}
	if a == actCount || p.fallback.none {
		return nil, false
	}
	pl = &p.pools[poolKey{p.fallback.to, list, f}.index()]
	// Without sets, too, bans wait in their pool, and Ready says so; lists do not.
	return pl, len(pl.sets) > 0 || !list
}
