package scenario

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestDidYouMean(t *testing.T) {
	g := NewWithT(t)
	names := []string{"hold-pairs", "hold", "sysctl", "dns-config", "on"}
	for typed, meant := range map[string]string{
		"hodl": "hold", "holdPairs": "hold-pairs", "DNS_Config": "dns-config", "syctsl": "sysctl", "onn": "on",
		"reboot": "", "x": "", "": "",
	} {
		g.Expect(didYouMean(typed, names)).To(Equal(meant), typed)
	}
}

func TestSentences(t *testing.T) {
	g := NewWithT(t)
	g.Expect(sentences("One. Two! (Three.) Four?")).To(Equal(4))
	g.Expect(sentences("It takes 2.5 s, e.g. for a lookup of kube-dns.kube-system.svc.\n")).To(Equal(1))
}

func TestPlaces(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"nodes", "node/node-1", "node-of/client", "pod/client", "outside", "host", "cluster"} {
		place, err := ParsePlace(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(place.String()).To(Equal(text))
	}
	for _, text := range []string{"", "node", "pod/", "pod/A b", "host/x", "pods", "node-of/a/b"} {
		_, err := ParsePlace(text)
		g.Expect(err).To(MatchError(ContainSubstring("is not a place")), text)
	}
}

func TestPhases(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"baseline", "fault", "remedy/a", "relapse/a", "control/a-1", "restored"} {
		phase, err := ParsePhase(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(phase.String()).To(Equal(text))
	}
	for _, text := range []string{"", "remedy", "relapse/", "fault/a", "Baseline", "control/a b"} {
		_, err := ParsePhase(text)
		g.Expect(err).To(MatchError(ContainSubstring("is not a phase")), text)
	}
}

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
