package faults

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// ownTable begins a table that is the change's alone: it is called ns.Name, and its removal is written down first. Nothing is in
// the kernel before the connection is flushed.
func ownTable(ns *Namespace) (*nftables.Conn, *nftables.Table, error) {
	if err := ns.Scope.Push(undo.Record{NftTable: &undo.NftTable{Family: "ip", Name: ns.Name}}); err != nil {
		return nil, nil, err
	}
	conn, err := nftables.New()
	if err != nil {
		return nil, nil, err
	}
	return conn, conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: ns.Name}), nil
}

// countPackets adds up the counters of a table's rules.
func countPackets(name string) (uint64, error) {
	conn, err := nftables.New()
	if err != nil {
		return 0, err
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return 0, err
	}
	var packets uint64
	for _, chain := range chains {
		if chain.Table.Name != name {
			continue
		}
		rules, err := conn.GetRules(chain.Table, chain)
		if err != nil {
			return 0, err
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
