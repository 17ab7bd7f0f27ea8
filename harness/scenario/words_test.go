package scenario

import (
	"testing"

	. "github.com/onsi/gomega"
)

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

func TestSplitAddress(t *testing.T) {
	g := NewWithT(t)
	for text, want := range map[string][3]string{
		"node/node-1:30080":         {"", "node/node-1", ":30080"},
		"http://pod/web:8080/a?b=c": {"http://", "pod/web", ":8080/a?b=c"},
		"node-of/web:80":            {"", "node-of/web", ":80"},
		"web:80":                    {"web:80"},
		"http://pod/index.html":     {"http://pod/index.html"},
		"http://node:80/pod/web:1":  {"http://node:80/pod/web:1"},
	} {
		before, place, after := SplitAddress(text)
		g.Expect([3]string{before, place, after}).To(Equal(want), text)
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
