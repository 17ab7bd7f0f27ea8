package plot

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestTimesChoosesTheScale(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Times(nil)).To(Equal(Linear{0, 1}), "nothing was sampled")
	g.Expect(Times([]float64{0.002, 0.003})).To(BeAssignableToTypeOf(Linear{}), "alike")
	g.Expect(Times([]float64{0.002, 5.01})).To(Equal(Log{0.001, 10}), "far apart")
	g.Expect(Times([]float64{0.001, 1})).To(Equal(Log{0.001, 1}), "powers of ten need no further room")
	g.Expect(Times([]float64{0, 1})).To(Equal(Log{floor, 1}), "zero has no logarithm")
}

func TestScales(t *testing.T) {
	g := NewWithT(t)
	for _, s := range []Scale{Linear{0, 10}, Log{0.001, 10}} {
		g.Expect(s.At(-1)).To(BeZero(), "below the range")
		g.Expect(s.At(99)).To(Equal(1.0), "above the range")
		g.Expect(s.At(10)).To(Equal(1.0))
	}
	g.Expect(Linear{0, 10}.At(5)).To(Equal(0.5))
	g.Expect(Log{0.001, 10}.At(0.1)).To(BeNumerically("~", 0.5, 1e-9))
	g.Expect(Linear{3, 3}.At(3)).To(BeZero(), "a range without length")
}
