package enforce

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Table is the name of the nftables table (family ip) in which policies are enforced. Policies see packets where they are
// forwarded: after DNAT, so that a Service's address is its backend's by then, and before masquerading. Packets between a node
// and its own pods are not forwarded and so always pass, as the API demands.
// Source: Kubernetes documentation, Network Policies.
const Table = "relapse-policy"

const forward = "forward"

var theTable = &nftables.Table{Family: nftables.TableFamilyIPv4, Name: Table}

// table is the node's table.
type table struct{ mu sync.Mutex }

// remove deletes the table. If there is none, nothing is touched: package hold says what removing a base chain does.
func (t *table) remove() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	chains, err := chains()
	if err != nil || len(chains) == 0 {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	conn.DelTable(theTable)
	if err := conn.Flush(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("nft delete table ip %s: %w", Table, err)
	}
	return nil
}

// replace replaces all rules in one transaction; the base chain and the counters stay.
func (t *table) replace(r Ruleset, prefix func(Isolated) string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, err := chains()
	if err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	conn.AddTable(theTable)
	for _, direction := range []string{Egress, Ingress} {
		conn.AddObj(&nftables.NamedObj{Table: theTable, Name: direction, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	}
	conn.FlushTable(theTable)
	for _, chain := range old {
		wanted := slices.ContainsFunc(r.Isolated, func(i Isolated) bool { return i.chainName() == chain })
		if chain != forward && !wanted {
			conn.DelChain(&nftables.Chain{Table: theTable, Name: chain})
		}
	}
	base := conn.AddChain(&nftables.Chain{
		Table: theTable, Name: forward, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	add := func(chain *nftables.Chain, exprs []expr.Any) {
		conn.AddRule(&nftables.Rule{Table: theTable, Chain: chain, Exprs: exprs})
	}
	add(base, established())
	for _, isolated := range r.Isolated {
		conn.AddChain(&nftables.Chain{Table: theTable, Name: isolated.chainName()})
	}
	// Egress is checked before ingress.
	for _, direction := range []string{Egress, Ingress} {
		for _, isolated := range r.Isolated {
			if isolated.Direction != direction {
				continue
			}
			jump, err1 := isolated.jump()
			rules, err2 := isolated.rules(prefix(isolated))
			if err := errors.Join(err1, err2); err != nil {
				return fmt.Errorf("%s of %s/%s: %w", direction, isolated.Namespace, isolated.Pod, err)
			}
			for _, exprs := range rules {
				add(&nftables.Chain{Table: theTable, Name: isolated.chainName()}, exprs)
			}
			add(base, jump)
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nft table ip %s: %w", Table, err)
	}
	return nil
}

// chains lists the names of the table's chains, none if there is no table.
func chains() ([]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	all, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil, fmt.Errorf("nft list chains ip: %w", err)
	}
	var names []string
	for _, chain := range all {
		if chain.Table.Name == Table {
			names = append(names, chain.Name)
		}
	}
	return names, nil
}

// ReadingKeys are the numbers in Readings.
var ReadingKeys = units.Keys{
	"isolated": {Means: "pods that policies isolate here; those isolated in both directions count twice", Kind: units.Gauge},
	Egress:     {Means: "packets that policies of that direction have dropped since there have been any"},
	Ingress:    {Means: "packets that policies of that direction have dropped since there have been any"},
	"unknown":  {Means: "packets of pods that the agent of the CNI does not know yet, which it has dropped (Calico)"},
}

// Readings is a reader of what network policies do on a node.
func Readings(context.Context) (map[string]float64, error) {
	values := map[string]float64{"isolated": 0, Egress: 0, Ingress: 0, "unknown": 0}
	names, err := chains()
	if err != nil || len(names) == 0 {
		return values, err
	}
	for _, name := range names {
		if name != forward && (strings.HasPrefix(name, Egress) || strings.HasPrefix(name, Ingress)) {
			values["isolated"]++
		}
	}
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	objects, err := conn.GetNamedObjects(theTable)
	if err != nil {
		return nil, fmt.Errorf("nft list counters table ip %s: %w", Table, err)
	}
	for _, object := range objects {
		if named, ok := object.(*nftables.NamedObj); ok {
			if counter, ok := named.Obj.(*expr.Counter); ok {
				values[named.Name] = float64(counter.Packets)
			}
		}
	}
	return values, nil
}
