package provision

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
)

func TestNodesThatHaveEnded(t *testing.T) {
	f := newFake(t)
	f.cluster("relapse-a", "1", nil)
	f.write("containers/relapse-a-worker", "relapse-a 1\n")
	f.cluster("relapse-b", "2", nil)
	engine, err := containers.Find(t.Context())
	f.g.Expect(err).NotTo(HaveOccurred())
	c := &Cluster{Spec: Spec{Name: "relapse-a"}, engine: engine, Nodes: []Node{{Container: "relapse-a-worker"}, {Container: "relapse-a-control-plane"}}}
	f.g.Expect(c.Running(t.Context())).To(Succeed())
	f.write("state-of-relapse-b-control-plane", "exited")
	f.g.Expect(c.Running(t.Context())).To(Succeed(), "another cluster's are its own affair")
	f.write("state-of-relapse-a-worker", "exited")
	f.g.Expect(c.Running(t.Context())).To(MatchError("node relapse-a-worker has ended: as exited"))
	c.Nodes = append(c.Nodes, Node{Container: "relapse-a-worker2"})
	f.g.Expect(c.Running(t.Context())).To(MatchError(ContainSubstring("node relapse-a-worker2 is gone")))
}
