package cli

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// TestARunFitsTheClusterThatIsThere, or it is said what does not, before anything is put on its nodes.
func TestARunFitsTheClusterThatIsThere(t *testing.T) {
	small := &scenario.Scenario{Metadata: scenario.Metadata{ID: "small"}, Topology: scenario.Topology{Nodes: 1}}
	large := &scenario.Scenario{Metadata: scenario.Metadata{ID: "large"}, Topology: scenario.Topology{Nodes: 3}}
	for name, test := range map[string]struct {
		mode, asked string
		nodes       int
		wrong       string
	}{
		"its mode":            {"iptables", "", 3, ""},
		"the mode asked for":  {"iptables", "iptables", 4, ""},
		"another mode":        {"iptables", "nftables", 3, "--proxy nftables: the kube-proxy mode of kind/dev is iptables; leave out --proxy"},
		"a mode for nobody":   {"ipvs", "", 3, "--cluster kind/dev: its kube-proxy mode is ipvs; scenarios need nftables or iptables"},
		"too few nodes":       {"nftables", "", 2, "--cluster kind/dev: too few nodes (2): large needs 3; see relapse cluster create --nodes"},
		"too few nodes for 2": {"nftables", "", 0, "--cluster kind/dev: too few nodes (0): small needs 1, large needs 3; see relapse cluster create --nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f := runFlags{clusterFlags: clusterFlags{cluster: "kind/dev"}, proxy: "nftables"}
			if test.asked != "" {
				f.proxy = test.asked
			}
			there := provision.Summary{Name: "relapse-dev", Proxy: test.mode, Nodes: make([]provision.State, test.nodes)}
			err := f.fitTo(there, test.asked != "", []*scenario.Scenario{small, large})
			if test.wrong == "" {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(f.proxy).To(Equal(test.mode))
				return
			}
			var c coded
			g.Expect(errors.As(err, &c)).To(BeTrue())
			g.Expect(c.code).To(Equal(exitUsage))
			g.Expect(err).To(MatchError(test.wrong))
		})
	}
}

func TestARunKeepsOffAnotherRunsCluster(t *testing.T) {
	g := NewWithT(t)
	f := runFlags{clusterFlags: clusterFlags{cluster: "kind/3f9a-1"}, proxy: "nftables"}
	err := f.fitTo(provision.Summary{Name: "relapse3f9a-1", Proxy: "nftables", Run: "20261121-112654-3f9a"}, false, nil)
	g.Expect(err).To(MatchError("--cluster kind/3f9a-1: the cluster belongs to run 20261121-112654-3f9a"))
}

// TestFlagsThatMakeAClusterWantOneThatIsMade: elsewhere they would say something and do nothing.
func TestFlagsThatMakeAClusterWantOneThatIsMade(t *testing.T) {
	for flag, f := range map[string]clusterFlags{
		"cni":          {cni: "kindnet"},
		"node-image":   {cni: "plain", image: "kindest/node:v1.36.3"},
		"images":       {cni: "plain", images: "archives"},
		"allow-egress": {cni: "plain", allowEgress: true},
	} {
		for where, wrong := range map[string]bool{"kind": false, "kind/dev": true, "lab": true} {
			g := NewWithT(t)
			f.cluster = where
			if err := f.clusterErr(); wrong {
				g.Expect(err).To(MatchError("--" + flag + " can only be used with --cluster kind, not with --cluster " + where))
			} else {
				g.Expect(err).NotTo(HaveOccurred())
			}
		}
	}
	g := NewWithT(t)
	g.Expect((&clusterFlags{cluster: "lab", cni: "plain"}).clusterErr()).To(Succeed())
}
