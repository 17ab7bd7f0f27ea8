package faults

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// ownTable begins a table that belongs to the change alone: its name is ns.Name, and its removal is written down first. Nothing is in
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

// tableKeys are the numbers of such a change; packets says what its rules count.
func tableKeys(packets string) units.Keys {
	return units.Keys{"rules": {Means: "rules that are installed", Kind: units.Gauge}, "packets": {Means: packets}}
}

// tableReadings are what the kernel has of a change's own table: rules is how many rules it holds now, packets how many packets they
// have counted.
func tableReadings(name string) (map[string]float64, error) {
	readings := map[string]float64{"rules": 0, "packets": 0}
	rules, err := tableRules(name)
	for _, rule := range rules {
		readings["rules"]++
		for _, e := range rule.Exprs {
			if counter, ok := e.(*expr.Counter); ok {
				readings["packets"] += float64(counter.Packets)
			}
		}
	}
	return readings, err
}

// tableRules are the rules of a table.
func tableRules(name string) (all []*nftables.Rule, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil, err
	}
	for _, chain := range chains {
		if chain.Table.Name != name {
			continue
		}
		rules, err := conn.GetRules(chain.Table, chain)
		if err != nil {
			return nil, err
		}
		all = append(all, rules...)
	}
	return all, nil
}
