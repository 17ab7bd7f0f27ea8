package plot

import (
	"math"
	"testing"

	. "github.com/onsi/gomega"
)

func TestLinearTicks(t *testing.T) {
	for _, test := range []struct {
		low, high float64
		n         int
		want      []float64
	}{
		{0, 10, 5, []float64{0, 2, 4, 6, 8, 10}},
		{0, 1, 5, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{0.4, 7.9, 3, []float64{5}},
		{8.5, 9.2, 2, []float64{8.5, 9}},
		{4, 4, 3, []float64{4}},
		{0, 60, 2, []float64{0, 50}},
	} {
		NewWithT(t).Expect(linearTicks(test.low, test.high, test.n)).To(Equal(test.want), "%v to %v", test.low, test.high)
	}
}

func TestTicksHaveNoNegativeZero(t *testing.T) {
	NewWithT(t).Expect(math.Signbit(linearTicks(0, 0.7, 3)[0])).To(BeFalse())
}

func TestDecades(t *testing.T) {
	g := NewWithT(t)
	g.Expect(decades(0.001, 10, 5)).To(Equal([]float64{0.001, 0.01, 0.1, 1, 10}))
	g.Expect(decades(0.0001, 10, 4)).To(Equal([]float64{0.0001, 0.01, 1}), "every second where there are too many")
}

func TestClock(t *testing.T) {
	g := NewWithT(t)
	g.Expect(clock([]float64{0, 5, 10})).To(Equal([]string{"0 s", "5", "10"}))
	g.Expect(clock([]float64{8.5, 9})).To(Equal([]string{"8.5 s", "9.0"}))
	g.Expect(clock([]float64{0.5})).To(Equal([]string{"0.5 s"}))
	g.Expect(clock([]float64{0.02, 0.04})).To(Equal([]string{"0.02 s", "0.04"}))
	g.Expect(clock(nil)).To(BeEmpty())
}
