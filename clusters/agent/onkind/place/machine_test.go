package place_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/onkind/place"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

func TestTheWholeMachinesSettingsAreRefused(t *testing.T) {
	g := NewWithT(t)
	for _, key := range []string{
		"net.netfilter.nf_conntrack_max", "net/netfilter/nf_conntrack_max", "net.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets",
		"net.ipv4.neigh.default.gc_thresh3", "net.netfilter.nf_log_all_netns",
	} {
		g.Expect(place.RefuseMachine(undo.Record{Sysctl: &undo.Sysctl{Key: key, Value: "1"}})).To(MatchError(ContainSubstring("whole machine")), key)
	}
	for _, r := range []undo.Record{
		{Sysctl: &undo.Sysctl{Key: "net.netfilter.nf_conntrack_tcp_be_liberal", Value: "1"}},
		{Sysctl: &undo.Sysctl{Key: "net.ipv4.ip_forward", Value: "1"}},
		{NftTable: &undo.NftTable{Family: "ip", Name: "relapse"}},
	} {
		g.Expect(place.RefuseMachine(r)).To(Succeed())
	}
}
