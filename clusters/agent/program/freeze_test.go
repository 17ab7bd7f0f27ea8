package program_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

// Whoever tells all programs of a cluster something must not wait for a frozen one, which has to know it when it goes on.
func TestAFrozenProgramIsToldWhenItGoesOn(t *testing.T) {
	g := NewWithT(t)
	m := program.NewManager()
	g.Expect(m.Start(program.Spec{Name: "cat", Argv: []string{"sh", "-c", `while read -r line; do echo "{$line}"; done`}})).To(Succeed())
	t.Cleanup(func() { g.Expect(m.Stop("cat")).To(Succeed()) })
	far := remote(t, m)
	frozen := func() (bool, error) { return far.Frozen(t.Context(), "cat") }
	g.Expect(frozen()).To(BeFalse())

	g.Expect(far.Freeze(t.Context(), "cat", true)).To(Succeed())
	g.Expect(frozen()).To(BeTrue())
	for _, line := range []string{"one", "two"} {
		g.Expect(m.Send(t.Context(), program.Input{Name: "cat", Line: line, Expect: line})).To(BeEmpty())
	}

	g.Expect(far.Freeze(t.Context(), "cat", false)).To(Succeed(), "it is waited for")
	g.Expect(m.Send(t.Context(), program.Input{Name: "cat", Expect: "two"})).To(Equal("{two}"))

	g.Expect(far.Freeze(t.Context(), "cat", true)).To(Succeed())
	g.Expect(m.Send(t.Context(), program.Input{Name: "cat", Line: "three", Expect: "four"})).To(BeEmpty())
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	g.Expect(far.Freeze(soon, "cat", false)).To(MatchError(ContainSubstring(`it did not write "four"`)))
	g.Expect(far.Freeze(t.Context(), "nobody", true)).To(MatchError(ContainSubstring("program nobody is not running here; running: [cat]")))
}
