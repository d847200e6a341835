package filter

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// A word is a literal that a regular expression comes down to.
type word struct {
	text               string
	start, end         bool // \A and \z
	wordStart, wordEnd bool // \b
}

// reduce returns the literal that a regular expression is, but for \b, ^ and $ at its
// ends. Letters have to count in both cases as written.
func reduce(re *regexp.Regexp) (w word, ok bool) {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return w, false
	}
	parts := []*syntax.Regexp{tree.Simplify()}
	if parts[0].Op == syntax.OpConcat {
		parts = parts[0].Sub
	}
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case i == 0 && part.Op == syntax.OpBeginText:
			w.start = true
		case i == 0 && part.Op == syntax.OpWordBoundary:
			w.wordStart = true
		case last && part.Op == syntax.OpEndText:
			w.end = true
		case last && part.Op == syntax.OpWordBoundary:
			w.wordEnd = true
		case w.text == "" && part.Op == syntax.OpLiteral && part.Flags&syntax.FoldCase == 0:
			w.text = string(part.Rune)
		default:
			return w, false
		}
	}
	return w, w.text != ""
}

// required returns texts of which every match of a regular expression holds at least
// one, in either case of its letters; nil if it knows none. without is a byte that they
// must not hold. folds tells whether letters of the expression stand for both cases,
// for which there are more letters than those of ASCII.
func required(re *regexp.Regexp, without string) (texts []string, folds bool) {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return nil, true
	}
	return requiredOf(tree.Simplify(), without), foldsCase(tree)
}

func foldsCase(re *syntax.Regexp) bool {
	if re.Flags&syntax.FoldCase != 0 {
		return true
	}
	return slices.ContainsFunc(re.Sub, foldsCase)
}

const maxRequired = 32

func requiredOf(re *syntax.Regexp, without string) []string {
	switch re.Op {
	case syntax.OpLiteral:
		best := ""
		for _, piece := range strings.FieldsFunc(string(re.Rune), func(r rune) bool { return r >= 0x80 || strings.ContainsRune(without, r) }) {
			if len(piece) > len(best) {
				best = piece
			}
		}
		if best == "" {
			return nil
		}
		return []string{best}
	case syntax.OpCapture, syntax.OpPlus:
		return requiredOf(re.Sub[0], without)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return requiredOf(re.Sub[0], without)
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if texts := requiredOf(sub, without); worth(texts) > worth(best) {
				best = texts
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			texts := requiredOf(sub, without)
			if texts == nil || len(all)+len(texts) > maxRequired {
				return nil
			}
			all = append(all, texts...)
		}
		return all
	}
	return nil
}

// worth is how rare texts are: as their shortest.
func worth(texts []string) int {
	if len(texts) == 0 {
		return 0
	}
	shortest := len(texts[0])
	for _, text := range texts {
		shortest = min(shortest, len(text))
	}
	return shortest*maxRequired - len(texts)
}
