package units

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestUnits(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"0s", "250ms", "1m30s", "12.5s", "20µs"} {
		var d Duration
		g.Expect(d.UnmarshalText([]byte(text))).To(Succeed())
		g.Expect(d.MarshalText()).To(BeEquivalentTo(text))
	}
	for _, text := range []string{"", "0", "5", "-1s", "+1s", "5 s", "1d", ".5s"} {
		g.Expect(new(Duration).UnmarshalText([]byte(text))).To(MatchError(ContainSubstring("is not a duration")), text)
	}
	for text, fraction := range map[string]float64{"0%": 0, "3%": 0.03, "99.5%": 0.995, "100%": 1, "0.001%": 0.00001} {
		var p Percent
		g.Expect(p.UnmarshalText([]byte(text))).To(Succeed())
		g.Expect(float64(p)).To(BeNumerically("~", fraction, 1e-12))
		g.Expect(p.MarshalText()).To(BeEquivalentTo(text))
	}
	for _, text := range []string{"", "3", "NaN%", "101%", "-1%", "1e1%", "0x1p1%", "100.5%", "3 %"} {
		g.Expect(new(Percent).UnmarshalText([]byte(text))).To(MatchError(ContainSubstring("is not a percentage")), text)
	}
	low, high := Duration(time.Second), Duration(2*time.Second)
	g.Expect((&DurationRange{Min: &low, Max: &high}).String()).To(Equal("1s to 2s"))
}
