// Package readers reads the numbers that detectors and expectations use. They are read by the agent of a place. A reader is one file and
// one line of the catalogue.
package readers

import (
	"context"
	"fmt"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Catalogue lists every reader by the name that scenarios use.
var Catalogue = map[string]Reader{
	"conntrack": {Read: conntrack, Reads: "connection tracking's counters, as conntrack -S prints them, and its entries", Keys: conntrackKeys, Always: true},
	"policy":    {Read: policy, Reads: "what network policies isolate and drop on a node: those of the lab, of Calico or of Cilium", Keys: enforce.ReadingKeys},
	"services":  {Read: services, Reads: "what kube-proxy's rules and conntrack say of UDP Services", Keys: servicesKeys},
	"snmp":      {Read: snmp, Reads: "the kernel's protocol counters, named as nstat names them", Keys: snmpKeys()},
}

// Reader reads numbers at a place.
type Reader struct {
	// Read reads them in the calling namespace.
	Read func(ctx context.Context) (map[string]float64, error)
	// Reads says in a few words what it reads.
	Reads string
	// Keys are all numbers that it can read on any kernel, so that a misspelt one is an error.
	Keys units.Keys
	// Always means that every run reads all its numbers on every node.
	Always bool
}

// Read is the operation: the name of a reader in, its numbers out.
var Read = agent.Op[string, agent.None, map[string]float64]{Name: "read"}

// HandleRead serves Read.
func HandleRead(ctx context.Context, name string, _ func(agent.None)) (map[string]float64, error) {
	reader, ok := Catalogue[name]
	if !ok {
		return nil, fmt.Errorf("unknown reader %q", name)
	}
	return reader.Read(ctx)
}
