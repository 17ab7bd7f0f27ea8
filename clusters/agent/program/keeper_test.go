package program_test

import (
	"io"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

// remote is a manager as it is seen over a stream.
func remote(t *testing.T, m *program.Manager) program.Keeper {
	t.Helper()
	ops := map[string]agent.Handler{}
	program.Serve(ops, m)
	requestR, requestW := io.Pipe()
	answerR, answerW := io.Pipe()
	go func() { answerW.CloseWithError(agent.Serve(t.Context(), requestR, answerW, ops)) }()
	conn := agent.NewConn("container/main", answerR, requestW)
	t.Cleanup(func() { conn.Close(); <-conn.Gone() })
	return program.Remote{Conn: conn}
}

func TestAManagerCanBeElsewhere(t *testing.T) {
	g := NewWithT(t)
	address, port := freePort(t)
	far := remote(t, started(t, spec(address)))
	g.Expect(far.Names(t.Context())).To(Equal([]string{"main"}))
	g.Eventually(func() ([]uint16, error) { return far.Ports(t.Context(), "main") }, time.Minute).Should(ConsistOf(port))
	g.Expect(far.Spec(t.Context(), "main")).To(Equal(spec(address)))

	g.Expect(far.Restart(t.Context(), spec(address, "TEXT=far"), []uint16{port})).To(Succeed())
	g.Expect(far.Spec(t.Context(), "main")).To(Equal(spec(address, "TEXT=far")))
	g.Expect(far.Alive(t.Context(), "main")).To(Succeed())
	g.Expect(far.Restart(t.Context(), spec("fail"), []uint16{port})).To(MatchError(ContainSubstring("no such setting")))
	g.Expect(far.Alive(t.Context(), "main")).To(MatchError(ContainSubstring("no such setting")))
	g.Expect(far.Alive(t.Context(), "sidecar")).To(MatchError(ContainSubstring("program sidecar is not running here")))
}

func TestTheEndOfAProgramHasAStatus(t *testing.T) {
	g := NewWithT(t)
	m := program.NewManager()
	for name, test := range map[string]struct {
		script string
		want   int
	}{"says": {"exit 7", 7}, "killed": {"kill -9 $$", 128 + 9}, "told": {"trap 'exit 3' TERM; echo '{\"ready\"}'; read -r line", 3}} {
		g.Expect(m.Start(program.Spec{Name: name, Argv: []string{"sh", "-c", test.script}})).To(Succeed())
		ended, err := m.Watch(name)
		g.Expect(err).NotTo(HaveOccurred())
		if name == "told" {
			g.Expect(m.Send(t.Context(), program.Input{Name: name, Expect: "ready"})).Error().NotTo(HaveOccurred())
			g.Expect(m.Signal(name, syscall.SIGTERM)).To(Succeed())
		}
		g.Eventually(ended, time.Minute).Should(Receive(Equal(test.want)), name)
	}
	_, err := m.Watch("nobody")
	g.Expect(err).To(MatchError(ContainSubstring("program nobody is not running here")))
}
