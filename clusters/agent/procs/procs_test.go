package procs_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

func TestAProcessThatDoesNotEndIsToldWithItsState(t *testing.T) {
	g := NewWithT(t)
	cmd := exec.Command("sleep", "60")
	g.Expect(cmd.Start()).To(Succeed())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	id, err := procs.Of(cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
	h, err := id.Open()
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = h.Close() }()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	g.Eventually(func() error { return h.Wait(over) }, 10*time.Second).Should(MatchError(MatchRegexp(`has not ended \(state S(, in \w+)?\): context canceled`)))
	g.Expect(id.Kill(t.Context())).To(Succeed())
	g.Expect(h.Wait(t.Context())).To(Succeed())
}
