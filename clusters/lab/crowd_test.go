package lab_test

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
)

// TestManyServicesAndAnotherMode: a crowd of Services is served, also after kube-proxy was started in another mode, and nothing is left of
// either.
func TestManyServicesAndAnotherMode(t *testing.T) {
	for _, proxy := range []string{"nftables", "iptables"} {
		t.Run(proxy, func(t *testing.T) {
			g := NewWithT(t)
			spec := clusters.Spec{Name: proxy, Nodes: 1, Proxy: proxy, Workload: [][]byte{
				object(t, `{apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {containers: [{name: main, image: relapse, args: [pause]}]}}`),
				object(t, `{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {containers: [{name: main, image: relapse, args: [server, ":80"]}]}}`),
			}}
			c := create(t, spec)
			look := func() fingerprint.Fingerprint {
				f, err := readers.TakeFingerprint.Call(t.Context(), c.Agent("node/node-1"), fingerprint.Options{}, nil)
				g.Expect(err).NotTo(HaveOccurred())
				return f
			}
			before := look()
			populous, proxied := c.(clusters.Populous), c.(clusters.Proxied)
			g.Expect(populous.SetCrowd(t.Context(), clusters.Crowd{Count: 50, Selector: map[string]string{"app": "web"}})).To(Succeed())
			other := map[string]string{"nftables": "iptables", "iptables": "nftables"}[proxy]
			for _, mode := range []string{proxy, other, proxy} {
				g.Expect(proxied.SetProxyMode(t.Context(), mode)).To(Succeed())
				g.Expect(reached(t, c, "pod/client", "10.100.0.50:80")).To(Equal("connected"), mode)
				rules, err := readers.RunCommand.Call(t.Context(), c.Agent("node/node-1"), []string{"nft", "list", "ruleset"}, nil)
				g.Expect(err).NotTo(HaveOccurred())
				if mode == "nftables" {
					g.Expect(rules).To(And(ContainSubstring("table ip kube-proxy"), Not(ContainSubstring("KUBE-SERVICES"))))
				} else {
					g.Expect(rules).To(And(ContainSubstring("KUBE-SERVICES"), Not(ContainSubstring("table ip kube-proxy"))))
				}
			}
			g.Expect(populous.SetCrowd(t.Context(), clusters.Crowd{Count: 50})).To(Succeed())
			g.Expect(reached(t, c, "pod/client", "10.100.0.50:80")).To(Equal("refused"), "without a selector there are no endpoints")
			g.Expect(populous.SetCrowd(t.Context(), clusters.Crowd{})).To(Succeed())
			g.Expect(c.Settle(t.Context())).To(Succeed())
			_, follows, err := c.(clusters.Renewed).Renewed(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(slices.DeleteFunc(fingerprint.Diff(before, look()), follows)).To(BeEmpty())
		})
	}
}
