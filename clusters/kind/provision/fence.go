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

	"github.com/relapse-k8s/relapse/clusters/outside"
	"github.com/relapse-k8s/relapse/harness/nftrule"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// A packet to a ClusterIP that no rule catches leaves its node by the default route, and then the machine: to whatever answers there.
// The fence keeps back everything that is forwarded between the nodes' bridge and any other link. A node is told at once; a packet that
// comes from another address than a node's is dropped without a word, because the answer would be sent there, past the fence. (Answers
// of the API server to a pod that has just gone have the Service's address.)
//
// What passes: packets between nodes, also where the kernel shows bridged ones to the rules; connections of this machine's own to nodes,
// such as to the API server; what nodes send to this machine's own addresses.

const fencePrefix = undo.Prefix + "_fence_"

// fenceTable is the table of an instance's fence.
func fenceTable(instance string) *nftables.Table {
	return &nftables.Table{Name: fencePrefix + instance, Family: nftables.TableFamilyINet}
}

// fenceRecord is how to take the fence down.
func fenceRecord(instance string) undo.Record {
	return undo.Record{NftTable: &undo.NftTable{Family: "inet", Name: fencePrefix + instance}}
}

// beforeFilter is ahead of the chains of engines and firewalls, at 0, which would drop packets without a word.
const beforeFilter nftables.ChainPriority = -10

// dnsOutside is the server that CoreDNS asks about other names.
var dnsOutside = netip.PrefixFrom(netip.MustParseAddr(outside.DNS), 32)

// fence puts up the fence around a bridge, behind which nodes have addresses of this network.
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
	// The kernel answers each node about once a second. CoreDNS asks more often than that, for as long as there is no server outside, and
	// nobody else would be told.
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

// iface matches the name of a packet's link with the instance's bridge.
func iface(key expr.MetaKey, instance string) func(expr.CmpOp) []expr.Any {
	return func(op expr.CmpOp) []expr.Any {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, bridgeOf(instance))
		return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
	}
}

// fences lists the instances that have a fence here.
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

// Refused is how many packets the fence has kept back; with a cluster that may send to the outside it is 0.
func (c *Cluster) Refused() (uint64, error) {
	if c.Spec.AllowEgress {
		return 0, nil
	}
	return refused(c.instance)
}

func refused(instance string) (packets uint64, err error) {
	conn, err := nftables.New()
	if err != nil {
		return 0, fmt.Errorf("nftables: %w", err)
	}
	for _, chain := range []string{"forward", "input"} {
		rules, err := conn.GetRules(fenceTable(instance), &nftables.Chain{Name: chain})
		if err != nil {
			return 0, fmt.Errorf("fence %s%s: %w", fencePrefix, instance, err)
		}
		for _, rule := range rules {
			for _, e := range rule.Exprs {
				if counter, ok := e.(*expr.Counter); ok {
					packets += counter.Packets
				}
			}
		}
	}
	return packets, nil
}
