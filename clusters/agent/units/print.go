package units

import (
	"math"
	"strconv"
)

// Seconds writes a measured length of time with at most three significant digits: "2.1 ms", "5.01 s", "1 min 12 s".
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

// digits keeps three significant digits, but all of them before the point.
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
	p := math.Pow10(decimals)
	return strconv.FormatFloat(math.Round(v*p)/p, 'f', -1, 64)
}

// Number writes a measured number: whole ones in full, others with four significant digits.
func Number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
