package agree

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/rundir"
)

func TestRunsAreNamedByWhatDiffers(t *testing.T) {
	run := func(cluster, proxy, cni string) rundir.Run {
		r := rundir.Run{Cluster: cluster, Proxy: proxy, Versions: map[string]string{}}
		if cni != "" {
			r.Versions["cni"] = cni
		}
		return r
	}
	for want, runs := range map[[2]string][2]rundir.Run{
		{"lab", "kind"}:                              {run("lab", "nftables", ""), run("kind", "nftables", "plain")},
		{"lab", "kind cilium"}:                       {run("lab", "nftables", ""), run("kind", "nftables", "cilium 1.20.2")},
		{"lab iptables", "kind cilium none"}:         {run("lab", "iptables", ""), run("kind", "none", "cilium 1.20.2")},
		{"kind plain", "kind calico"}:                {run("kind", "nftables", "plain"), run("kind", "nftables", "calico v3.28.5")},
		{"kind cilium nftables", "kind cilium none"}: {run("kind", "nftables", "cilium 1.20.2"), run("kind", "none", "cilium 1.20.2")},
		{"lab nftables", "lab iptables"}:             {run("lab", "nftables", ""), run("lab", "iptables", "")},
		{"one run", "other run"}:                     {run("kind", "nftables", "plain"), run("kind", "nftables", "plain")},
	} {
		NewWithT(t).Expect(nameApart(runs[0], runs[1])).To(Equal(want))
	}
}
