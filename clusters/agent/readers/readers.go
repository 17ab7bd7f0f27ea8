// Package readers reads the numbers that detectors and expectations use. They are read by the agent of a place. A reader is one file and
// one line of the catalogue.
package readers

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Catalogue lists every reader by the name that scenarios use.
var Catalogue = map[string]Reader{
	"conntrack": {Read: conntrack, Reads: "connection tracking's counters, as conntrack -S prints them, and its entries", Keys: conntrackKeys, Always: true},
	"conntrack-entries": {Ask: conntrackEntries, Argument: "PROTOCOL:PORT", Key: entriesKey,
		CheckArgument: func(text string) error { _, err := entriesArgument(text); return err },
		Reads:         "how many entries connection tracking has of flows to a port, such as tcp:80. A key is a state as conntrack -L shows it, such as close-wait, or all, unreplied, assured, dnat, snat"},
	"links": {Read: links, Reads: "what ip -d -s link and bridge -d link print", Keys: linksKeys},
	"metrics": {Ask: metrics, Argument: "PORT", CheckArgument: portAfter("metrics", "10249"), Key: metricsKey,
		Reads: "what a program serves to Prometheus on a port of 127.0.0.1 (CoreDNS 9153, kube-proxy 10249, Felix 9091, Cilium 9962). A key is the name of a series, with labels if needed: drops_total{direction=\"in\"}. All series that have them are added up"},
	"neighbours": {Read: neighbours, Reads: "the neighbour table for IPv4, as ip neigh prints it", Keys: neighboursKeys},
	"nfqueue":    {Read: nfqueue, Reads: "the queues on which packets wait for programs in user space (NFQUEUE), all together", Keys: nfqueueKeys},
	"policy":     {Read: policy, Reads: "what network policies isolate and drop on a node: those of the lab, of Calico or of Cilium", Keys: enforce.ReadingKeys},
	"route": {Of: route, Argument: PodArgument, Keys: routeKeys,
		Reads: "the IPv4 route of the main table that leads to a pod, as ip route get finds it"},
	"services": {Ask: services, Argument: "ADDRESS", CheckArgument: serviceAddress, Keys: servicesKeys,
		Reads: "what kube-proxy's rules and conntrack say of the UDP ports of a Service"},
	"snmp": {Read: snmp, Reads: "the kernel's protocol counters, named as nstat names them", Keys: snmpKeys()},
	"sockets": {Ask: sockets, Argument: "PORT", CheckArgument: portAfter("sockets", "80"), Key: socketsKey,
		Reads: "how many TCP sockets with a port at one end are in which state, as ss -tan shows them. A key is a state, such as time-wait, of the socket that listens accept-queue and accept-backlog, or range-used"},
	"sysctl": {Ask: sysctl, Argument: "KEY", CheckArgument: sysctlArgument, Keys: sysctlKeys,
		Reads: "a kernel setting of the namespace, such as sysctl/net.ipv4.ip_forward"},
}

// Reader reads numbers at a place. An open reader has an argument; if it has no Keys, the scenario names the numbers too.
type Reader struct {
	// Reads says in a few words what it reads.
	Reads string
	// Read reads all numbers of a closed reader in the calling namespace.
	Read func(ctx context.Context) (map[string]float64, error)
	// Keys are all numbers that a closed reader can read on any kernel, so that a misspelt one is an error. An open reader has them if its
	// argument alone is open.
	Keys units.Keys
	// Always means that every run reads all its numbers on every node.
	Always bool

	// Ask reads the named numbers of an open reader, whose name in scenarios has an argument: metrics/PORT.
	Ask func(ctx context.Context, argument string, keys []string) (map[string]float64, error)
	// Of reads all numbers about a pod at the calling namespace. The scenario names the pod in the argument: route/POD.
	Of func(ctx context.Context, pod netip.Addr) (map[string]float64, error)

	// Argument is what stands after the slash. CheckArgument and Key say what is wrong with one, and with the name of a number; Key is nil
	// if there are Keys.
	Argument      string
	CheckArgument func(string) error
	Key           func(string) (units.Key, error)
}

// PodArgument is the argument that is the name of a pod.
const PodArgument = "POD"

// Question is what is asked of a reader.
type Question struct {
	// Reader is its name, with its argument if it has one.
	Reader string `json:"reader"`
	// Keys are the numbers that an open reader is asked for.
	Keys []string `json:"keys,omitempty"`
	// Pod is the address of the pod that the argument names.
	Pod netip.Addr `json:"pod,omitzero"`
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
	case reader.Of != nil:
		return reader.Of(ctx, q.Pod)
	case reader.Ask != nil:
		return reader.Ask(ctx, argument, q.Keys)
	}
	return reader.Read(ctx)
}
