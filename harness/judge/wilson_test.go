package judge

import (
	"math"
	"testing"
)

// TestWilson holds the interval against R. G. Newcombe, "Two-sided confidence intervals for the single proportion",
// Statistics in Medicine 17 (1998) 857-872, table I, method 3.
func TestWilson(t *testing.T) {
	for _, test := range []struct {
		hits, trials int
		low, high    float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}, {20, 20, 0.8389, 1}, {0, 0, 0, 1}} {
		low, high := Wilson(test.hits, test.trials)
		if math.Abs(low-test.low) > 0.00005 || math.Abs(high-test.high) > 0.00005 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", test.hits, test.trials, low, high, test.low, test.high)
		}
	}
	if low, _ := Wilson(0, 7); low != 0 {
		t.Error(low)
	}
	if _, high := Wilson(7, 7); high != 1 {
		t.Error(high)
	}
}
