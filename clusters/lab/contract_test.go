package lab_test

import (
	"testing"

	"github.com/relapse-k8s/relapse/clusters/providertest"
)

func TestTheContractOfProviders(t *testing.T) {
	for _, proxy := range []string{"nftables", "iptables"} {
		t.Run(proxy, func(t *testing.T) {
			providertest.Contract(t, providertest.Subject{Provider: newLab(t), Nodes: 2, Proxy: proxy})
		})
	}
}
