package tool

import (
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestAToolHasNoMoreRightsThanItNeeds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	g := NewWithT(t)
	t.Cleanup(func() { user.Store(0) })
	const look = "id -u; id -g; id -G; grep CapEff /proc/self/status"
	said := func(name string, output []byte, err error) []string {
		g.Expect(err).NotTo(HaveOccurred(), name)
		return strings.Fields(string(output))
	}
	RunAs(os.Geteuid())
	output, err := Plain(t.Context(), "sh", "-c", look).Output()
	g.Expect(said("the agent's own user", output, err)[:2]).To(Equal([]string{"0", "0"}))

	RunAs(70000)
	output, err = Plain(t.Context(), "sh", "-c", look).Output()
	g.Expect(said("plain", output, err)).To(Equal([]string{"70000", "70000", "70000", "CapEff:", "0000000000000000"}))
	output, err = Network(t.Context(), "sh", "-c", look).Output()
	g.Expect(said("network", output, err)).To(Equal([]string{"70000", "70000", "70000", "CapEff:", "0000000000003000"}))
}
