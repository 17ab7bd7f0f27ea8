package provision

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// A packet to a ClusterIP that no rule catches leaves its node by the default route, and then the machine: to whatever answers there.
// The fence refuses everything that is forwarded between the nodes' bridge and any other link. What passes: packets between nodes, also
// where the kernel shows bridged ones to the rules; connections of this machine's own to nodes, such as to the API server; what nodes
// send to this machine's own addresses.

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

// fence puts up the fence around a bridge. The sender is told at once: administratively prohibited.
func fence(instance string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("fence: nftables: %w", err)
	}
	table := conn.AddTable(fenceTable(instance))
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(beforeFilter),
	})
	link := func(key expr.MetaKey, op expr.CmpOp) []expr.Any {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, bridgeOf(instance))
		return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
	}
	for _, from := range [][]expr.Any{
		append(link(expr.MetaKeyIIFNAME, expr.CmpOpEq), link(expr.MetaKeyOIFNAME, expr.CmpOpNeq)...),
		append(link(expr.MetaKeyOIFNAME, expr.CmpOpEq), link(expr.MetaKeyIIFNAME, expr.CmpOpNeq)...),
	} {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(from,
			&expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})})
	}
	if err := conn.Flush(); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("the fence around the nodes needs root: %w", err)
		}
		return fmt.Errorf("fence: nftables: %w", err)
	}
	return nil
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

// Refused is how many packets the fence has refused; with a cluster that may send to the outside it is 0.
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
	rules, err := conn.GetRules(fenceTable(instance), &nftables.Chain{Name: "forward"})
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
	return packets, nil
}
