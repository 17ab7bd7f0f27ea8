package kind

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/kind/provision/kindtest"
	"github.com/relapse-k8s/relapse/clusters/providertest"
)

func TestTheContractOfProviders(t *testing.T) {
	kindtest.Cluster(t, "relapse-contract", 2, programs)
	k := New(Options{Bin: programs(t), Cluster: "contract", Logs: t.TempDir()})
	providertest.Contract(t, providertest.Subject{
		Provider: k, Nodes: 2, Proxy: "nftables",
		Left: func(t *testing.T) []string {
			g := NewWithT(t)
			all, _, err := (&Kind{}).leftOn(t.Context(), "contract")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(k.spoilt()).To(BeEmpty())
			return all
		},
	})
}
