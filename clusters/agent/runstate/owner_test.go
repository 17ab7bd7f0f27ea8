package runstate

import (
	"fmt"
	"maps"
	"os"
	"testing"

	. "github.com/onsi/gomega"
)

func TestWhoseOwnerLives(t *testing.T) {
	g := NewWithT(t)
	self, err := Self()
	g.Expect(err).NotTo(HaveOccurred())
	with := func(key, value string) map[string]string {
		other := maps.Clone(self)
		other[key] = value
		return other
	}
	g.Expect(Lives(self)).To(BeTrue())
	g.Expect(Lives(with(EnvHarness, fmt.Sprintf("%d/1", os.Getpid())))).To(BeFalse(), "another process has had its pid")
	g.Expect(Lives(with(EnvHarness, "nobody"))).To(BeFalse())
	elsewhere := with(EnvHarness, "1/1")
	elsewhere[envPidns] = "1"
	g.Expect(Lives(elsewhere)).To(BeTrue(), "nothing can be said")
}
