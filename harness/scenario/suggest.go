package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean returns the name that was probably meant, or an empty string.
func didYouMean(typed string, names []string) string {
	best, least := "", len(typed)/2+1
	if least > 3 {
		least = 3
	}
	for _, name := range names {
		if d := distance(plain(typed), plain(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// plain drops what people mix up in names: case and how words are joined.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
}

// distance counts the letters to insert, drop, replace or swap with their neighbour.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 40 || len(y) > 40 { // no name is that long
		return 40
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			replace := rows[i-1][j-1]
			if x[i-1] != y[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}

// hint ends a message about an unknown name: what was probably meant, else what there is.
func hint(typed, plural string, names []string) string {
	if meant := didYouMean(typed, names); meant != "" {
		return fmt.Sprintf(": did you mean %q?", meant)
	}
	switch len(names) {
	case 0:
		return fmt.Sprintf(": there are no %s", plural)
	case 1:
		return ": the only one is " + names[0]
	}
	sorted := slices.Sorted(slices.Values(names))
	return fmt.Sprintf(": the %s are %s", plural, strings.Join(sorted, ", "))
}
