package provision

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

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
