// Package readers reads the numbers that detectors and expectations use. They are read by the agent of a place. A reader is one file and
// one line of the catalogue.
package readers

import (
	"context"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Catalogue lists every reader by the name that scenarios use.
var Catalogue = map[string]Reader{
	"conntrack": {Read: conntrack, Reads: "connection tracking's counters, as conntrack -S prints them, and its entries", Keys: conntrackKeys, Always: true},
	"metrics": {Ask: metrics, Argument: "PORT", CheckArgument: metricsPort, Key: metricsKey,
		Reads: "what a program serves to Prometheus on a port of 127.0.0.1 (CoreDNS 9153, kube-proxy 10249, Felix 9091, Cilium 9962). A key is the name of a series, with labels if needed: drops_total{direction=\"in\"}. All series that have them are added up"},
	"policy":   {Read: policy, Reads: "what network policies isolate and drop on a node: those of the lab, of Calico or of Cilium", Keys: enforce.ReadingKeys},
	"services": {Read: services, Reads: "what kube-proxy's rules and conntrack say of UDP Services", Keys: servicesKeys},
	"snmp":     {Read: snmp, Reads: "the kernel's protocol counters, named as nstat names them", Keys: snmpKeys()},
}

// Reader reads numbers at a place: closed, with numbers of its own, or open, with those that the scenario names.
type Reader struct {
	// Reads says in a few words what it reads.
	Reads string
	// Read reads all numbers of a closed reader in the calling namespace.
	Read func(ctx context.Context) (map[string]float64, error)
	// Keys are all numbers that a closed reader can read on any kernel, so that a misspelt one is an error.
	Keys units.Keys
	// Always means that every run reads all its numbers on every node.
	Always bool

	// Ask reads the named numbers of an open reader, whose name in scenarios has an argument: metrics/PORT.
	Ask func(ctx context.Context, argument string, keys []string) (map[string]float64, error)
	// Argument is what stands after the slash. CheckArgument and Key say what is wrong with one, and with the name of a number.
	Argument      string
	CheckArgument func(string) error
	Key           func(string) (units.Key, error)
}

// Question is what is asked of a reader.
type Question struct {
	// Reader is its name, with its argument if it has one.
	Reader string `json:"reader"`
	// Keys are the numbers that an open reader is asked for.
	Keys []string `json:"keys,omitempty"`
}

// Read is the operation.
var Read = agent.Op[Question, agent.None, map[string]float64]{Name: "read"}

// HandleRead serves Read.
func HandleRead(ctx context.Context, q Question, _ func(agent.None)) (map[string]float64, error) {
	name, argument, _ := strings.Cut(q.Reader, "/")
	reader, ok := Catalogue[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("unknown reader %q", q.Reader)
	case reader.Ask != nil:
		return reader.Ask(ctx, argument, q.Keys)
	}
	return reader.Read(ctx)
}
