package plot

import (
	"math"
	"strconv"
)

// Seconds writes a length of time as a person would say it, with at most three significant digits: "2.1 ms", "5.01 s",
// "1 min 12 s".
func Seconds(s float64) string {
	switch a := math.Abs(s); {
	case a == 0:
		return "0 s"
	case a < 0.9995e-3:
		return digits(s*1e6) + " µs"
	case a < 0.9995:
		return digits(s*1e3) + " ms"
	case a < 59.95:
		return digits(s) + " s"
	}
	whole := int64(math.Round(s))
	hours, minutes, seconds := whole/3600, whole/60%60, whole%60
	switch {
	case hours > 0:
		return strconv.FormatInt(hours, 10) + " h " + strconv.FormatInt(minutes, 10) + " min"
	case seconds == 0:
		return strconv.FormatInt(minutes, 10) + " min"
	}
	return strconv.FormatInt(minutes, 10) + " min " + strconv.FormatInt(seconds, 10) + " s"
}

// Number writes a plain number: whole ones with a thin space between thousands, others with three significant digits.
func Number(v float64) string {
	if v != math.Trunc(v) || math.Abs(v) >= 1e15 {
		return digits(v)
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u2009" + text[i:]
	}
	if v < 0 {
		return "−" + text
	}
	return text
}

// digits keeps three significant digits before and after the point together and drops trailing zeros.
func digits(v float64) string {
	decimals := 0
	switch a := math.Abs(v); {
	case a < 1:
		decimals = 3
	case a < 9.995:
		decimals = 2
	case a < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(round(v, decimals), 'f', -1, 64)
}

func round(v float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(v*p) / p
}
