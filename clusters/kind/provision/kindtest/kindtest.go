// Package kindtest makes clusters of containers for tests.
package kindtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

// Cluster makes a cluster that is deleted at the end of the test, and gives the test its own state folder. The test is skipped if it may
// not start containers, or if there is no engine or image. Bin finds relapse's programs.
func Cluster(t *testing.T, name string, nodes int, bin func(*testing.T) string) *provision.Cluster {
	t.Helper()
	if os.Getenv("RELAPSE_TEST_KIND") == "" {
		t.Skip("RELAPSE_TEST_KIND=1 lets it make a cluster of containers")
	}
	g := gomega.NewWithT(t)
	t.Setenv(runstate.EnvDir, t.TempDir())
	program := filepath.Join(bin(t), "relapse-agent")
	state, err := runstate.New("test", nil)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	guarding, err := guard.Start(t.Context(), program, filepath.Join(state.Folder(), "guard.log"), state)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	// The guard deletes the cluster, even if the test is killed.
	t.Cleanup(func() { g.Expect(errors.Join(guarding.Close(), state.Close())).To(gomega.Succeed()) })
	made, err := provision.Create(t.Context(), provision.Spec{Name: name, Nodes: nodes}, guarding)
	if errors.Is(err, clusters.ErrMissing) {
		t.Skip(err)
	}
	g.Expect(err).NotTo(gomega.HaveOccurred())
	return made
}
