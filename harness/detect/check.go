package detect

import (
	"fmt"
	"math"
	"strconv"
)

// Check is a bound held against a window, in words.
type Check struct {
	// What was expected: "lookup: slowest at most 5.3s".
	What string
	// Seen is what was there: "5.31 s".
	Seen string
	// OK is whether the bound holds.
	OK bool
	// Blind is true where there was nothing to hold it against; OK is then false.
	Blind bool
	// Fact says what was seen as the end of a sentence that begins with the subject: "failed 20 of 20".
	Fact string
	// Because is what explains the fact: an error message, or the bound that it breaks.
	Because string
	// Number is the number that decided.
	Number float64
}

// Number writes a number as a person would: whole numbers in full, others to four places.
func Number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// Seconds writes a length of time as a person would: "5.01 s", "1.2 ms".
func Seconds(s float64) string {
	switch {
	case s >= 0.9995:
		return fmt.Sprintf("%.2f s", s)
	case s >= 0.0001:
		return strconv.FormatFloat(s*1e3, 'g', 3, 64) + " ms"
	}
	return strconv.FormatFloat(s*1e6, 'g', 3, 64) + " µs"
}
