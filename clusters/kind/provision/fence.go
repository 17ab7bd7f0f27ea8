package provision

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// A packet to a ClusterIP that no rule matches leaves its node by the default route, and then the machine, and may reach a stranger. The
// fence blocks everything that is forwarded between the nodes' bridge and any other link. Packets from a node's address are rejected;
// packets from any other address are dropped silently, because the answer would be sent to that address, past the fence. (Answers of the
// API server to a pod that was just deleted have the Service's address.)
//
// Allowed are: packets between nodes, even if the kernel passes bridged packets through the rules; connections from this machine to
// nodes, such as to the API server; packets from nodes to this machine's own addresses.

const fencePrefix = undo.Prefix + "_fence_"

// fenceTable is the table of an instance's fence.
func fenceTable(instance string) *nftables.Table {
	return &nftables.Table{Name: fencePrefix + instance, Family: nftables.TableFamilyINet}
}

// fenceRecord is the record that removes the fence.
func fenceRecord(instance string) undo.Record {
	return undo.Record{NftTable: &undo.NftTable{Family: "inet", Name: fencePrefix + instance}}
}

// beforeFilter is ahead of the chains of engines and firewalls, at 0, which would drop packets silently.
const beforeFilter nftables.ChainPriority = -10

// dnsOutside is CoreDNS's upstream server for other names.
var dnsOutside = netip.PrefixFrom(netip.MustParseAddr(outside.DNS), 32)

// fence makes the fence around a bridge, behind which nodes have addresses of this network.
func fence(instance string, nodes netip.Prefix) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("fence: nftables: %w", err)
	}
	table := conn.AddTable(fenceTable(instance))
	chain := func(name string, hook *nftables.ChainHook) func(exprs ...[]expr.Any) {
		chain := conn.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRef(beforeFilter),
		})
		return func(exprs ...[]expr.Any) {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: slices.Concat(exprs...)})
		}
	}
	in, out := iface(expr.MetaKeyIIFNAME, instance), iface(expr.MetaKeyOIFNAME, instance)
	ipv4 := []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.NFPROTO_IPV4}}}
	fromNode := slices.Concat(ipv4, nftrule.Address(nftrule.Source, expr.CmpOpEq, nodes))
	fromElsewhere := slices.Concat(ipv4, nftrule.Address(nftrule.Source, expr.CmpOpNeq, nodes))
	refuse := []expr.Any{&expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
	drop := []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}

	forward := chain("forward", nftables.ChainHookForward)
	// The kernel sends each node only about one ICMP error a second. While there is no outside server, CoreDNS's queries alone would use
	// them up.
	forward(in(expr.CmpOpEq), out(expr.CmpOpNeq), ipv4, nftrule.Address(nftrule.Destination, expr.CmpOpEq, dnsOutside), drop)
	forward(in(expr.CmpOpEq), out(expr.CmpOpNeq), fromNode, refuse)
	forward(in(expr.CmpOpEq), out(expr.CmpOpNeq), drop)
	forward(in(expr.CmpOpNeq), out(expr.CmpOpEq), drop)
	input := chain("input", nftables.ChainHookInput)
	input(in(expr.CmpOpEq), fromElsewhere, drop)
	if err := conn.Flush(); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("the fence around the nodes needs root: %w", err)
		}
		return fmt.Errorf("fence: nftables: %w", err)
	}
	return nil
}

// iface compares the name of a packet's link with the instance's bridge.
func iface(key expr.MetaKey, instance string) func(expr.CmpOp) []expr.Any {
	return func(op expr.CmpOp) []expr.Any {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, bridgeOf(instance))
		return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
	}
}

// fences lists the instances that have a fence on this machine.
func fences() ([]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	var instances []string
	for _, table := range tables {
		if instance, ok := strings.CutPrefix(table.Name, fencePrefix); ok {
			instances = append(instances, instance)
		}
	}
	return instances, nil
}
