package suggest

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Field is a part of a text, and how much a word in it counts.
type Field struct {
	Text   string
	Weight float64
}

// Rank returns the indices of the texts that have words of the question, best first. A word that few texts have counts for more. Words
// may be mistyped by a letter, or have another ending.
func Rank(question string, texts [][]Field) []int {
	asked := words(question)
	scores := make([]float64, len(texts))
	for _, word := range asked {
		found := make([]float64, len(texts))
		have := 0
		for i, fields := range texts {
			for _, f := range fields {
				for _, w := range words(f.Text) {
					found[i] = max(found[i], f.Weight*alike(word, w))
				}
			}
			if found[i] > 0 {
				have++
			}
		}
		for i := range found {
			scores[i] += found[i] * math.Log(1+float64(len(texts))/float64(max(have, 1)))
		}
	}
	var ranked []int
	for i, score := range scores {
		if score > 0 {
			ranked = append(ranked, i)
		}
	}
	slices.SortStableFunc(ranked, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	// What has much less than the best one has only its usual words.
	return slices.DeleteFunc(ranked, func(i int) bool { return scores[i] < scores[ranked[0]]/3 })
}

// common words say nothing about a failure.
var common = strings.Fields("a after all an and are as at be but by can do does for from get has have in is it its my no not of on or our so that the then there they to was we when with")

// seconds is how people write times.
var seconds = regexp.MustCompile(`\b(\d+) ?s(?:ec(?:ond)?s?)?\b`)

var numbers = strings.Split("zero one two three four five six seven eight nine ten", " ")

// words splits a text, without common words; five seconds, 5 s and 5s are the same.
func words(text string) []string {
	text = strings.ToLower(text)
	for n, name := range numbers {
		text = strings.ReplaceAll(text, name+" second", strconv.Itoa(n)+" second")
	}
	text = seconds.ReplaceAllString(text, "${1}s")
	all := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(all, func(word string) bool { return slices.Contains(common, word) })
}

// alike is 1 for the same word, 0 for another one, and in between for one with another ending or a wrong letter.
func alike(a, b string) float64 {
	shared := 0
	for shared < min(len(a), len(b)) && a[shared] == b[shared] {
		shared++
	}
	switch longer := max(len(a), len(b)); {
	case a == b:
		return 1
	case shared >= 4 && shared*10 >= longer*6:
		return 0.8
	case min(len(a), len(b)) > 4 && distance(a, b) == 1:
		return 0.6
	}
	return 0
}
