// Package suggest guesses which name was meant by one that was mistyped.
package suggest

import (
	"fmt"
	"slices"
	"strings"
)

// Meant returns the name that was probably meant, or an empty string: the most similar name, or else the first one that starts with
// what was typed.
func Meant(typed string, names []string) string {
	best, least := "", min(len(typed)/2+1, 3)
	for _, name := range names {
		if d := distance(plain(typed), plain(name)); d < least {
			best, least = name, d
		}
	}
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, typed) }); best == "" && len(typed) > 2 && i >= 0 {
		return names[i]
	}
	return best
}

// Hint ends a message about an unknown name: with the name that was probably meant, or else with all allowed names. Plural is what
// the names stand for.
func Hint(typed, plural string, names []string) string {
	if meant := Meant(typed, names); meant != "" {
		return fmt.Sprintf(": did you mean %q?", meant)
	}
	switch len(names) {
	case 0:
		return fmt.Sprintf(": no %s are defined", plural)
	case 1:
		return ": must be " + names[0]
	}
	return ": must be one of " + strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

// plain drops what is often mistyped in names: case, and the characters between words.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
}

// distance is how many letters must be inserted, dropped, replaced or swapped with their neighbour.
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
