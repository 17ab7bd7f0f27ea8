package netconf

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// masquerade hides the pods' addresses from all addresses outside the pod network: nft add rule … ip saddr CIDR ip daddr != CIDR
// masquerade fully-random.
func masquerade(cidr string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "cni"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "masquerade", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(nftrule.Leaving(prefix), &expr.Masq{FullyRandom: true})})
	return conn.Flush()
}
