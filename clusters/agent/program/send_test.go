package program_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

func TestWhatAProgramSaidBeforeAnybodyAskedCounts(t *testing.T) {
	g := NewWithT(t)
	m := program.NewManager()
	g.Expect(m.Start(program.Spec{Name: "early", Argv: []string{"sh", "-c", `echo '{"synced":0}'; while read -r line; do echo "{$line}"; done`}})).To(Succeed())
	t.Cleanup(func() { g.Expect(m.Stop("early")).To(Succeed()) })
	for range 2 {
		g.Expect(m.Send(t.Context(), program.Input{Name: "early", Expect: "synced"})).To(Equal(`{"synced":0}`))
	}
	g.Expect(m.Send(t.Context(), program.Input{Name: "early", Line: "hello", Expect: "hello"})).To(Equal("{hello}"))
}
