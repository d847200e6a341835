package config

import (
	"slices"
	"strings"
)

// nearest returns the name that takes the fewest mistakes to arrive at the
// misspelt one. A name whose second word alone is wrong may have been meant to
// tune a scenario.
func nearest(misspelt string, names []string) string {
	if _, rest, ok := strings.Cut(strings.TrimPrefix(misspelt, prefix), "_"); ok && rest != "" {
		names = append(slices.Clone(names), scenarioPrefix+rest)
	}
	return slices.MinFunc(names, func(a, b string) int { return mistakes(misspelt, a) - mistakes(misspelt, b) })
}

// mistakes counts the letters that are left out, added, wrong, or swapped with
// their neighbour between a and b (the restricted edit distance).
func mistakes(a, b string) int {
	var before, last, row []int // the table's rows for a[:i-2], a[:i-1] and a[:i]
	for j := range len(b) + 1 {
		row = append(row, j)
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, []int{i}
		for j := 1; j <= len(b); j++ {
			wrong := 0
			if a[i-1] != b[j-1] {
				wrong = 1
			}
			n := min(last[j]+1, row[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, before[j-2]+1)
			}
			row = append(row, n)
		}
	}
	return row[len(b)]
}
