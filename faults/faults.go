// Package faults holds every change that scenarios can make: faults and remedies are the same thing. A change is one file
// and one line of the catalogue; the fields of its struct are its settings, and their comments are the schema's.
package faults

import (
	"context"
	"net/netip"

	"github.com/relapse-k8s/relapse/harness/program"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// Catalogue lists every change by the name that scenarios use.
var Catalogue = map[string]func() any{
	"cni-config-away":     func() any { return &CNIConfigAway{} },
	"cni-config-back":     func() any { return &CNIConfigBack{} },
	"connection-flood":    func() any { return &ConnectionFlood{} },
	"conntrack-flush":     func() any { return &ConntrackFlush{} },
	"conntrack-max":       func() any { return &ConntrackMax{} },
	"conntrack-occupy":    func() any { return &ConntrackOccupy{} },
	"delete-pods":         func() any { return &DeletePods{} },
	"dns-config":          func() any { return &DNSConfig{} },
	"drop-invalid":        func() any { return &DropInvalid{} },
	"hold-fin":            func() any { return &HoldFIN{} },
	"hold-pairs":          func() any { return &HoldPairs{} },
	"install-cni":         func() any { return &InstallCNI{} },
	"kubernetes-object":   func() any { return &KubernetesObject{} },
	"log-drops":           func() any { return &LogDrops{} },
	"masquerade":          func() any { return &Masquerade{} },
	"no-cni":              func() any { return &NoCNI{} },
	"nodelocal-addresses": func() any { return &NodeLocalAddresses{} },
	"nodelocal-dnscache":  func() any { return &NodeLocalDNSCache{} },
	"nothing":             func() any { return &Nothing{} },
	"notrack":             func() any { return &NoTrack{} },
	"reorder":             func() any { return &Reorder{} },
	"restart-client":      func() any { return &RestartClient{} },
	"restart-container":   func() any { return &RestartContainer{} },
	"stray-segment":       func() any { return &StraySegment{} },
	"sysctl":              func() any { return &Sysctl{} },
}

// Change is made at one place, by the agent that lives there. A change to the cluster as a whole implements
// site.ClusterChange instead.
type Change interface {
	// Apply makes the change. Before each thing that it alters it writes down in ns.Scope how to undo it. What goes on after
	// Apply has returned ends by a function in the scope, not with ctx.
	Apply(ctx context.Context, ns *Namespace) error
}

// Reporter is a change that says something of itself: numbers that prove that it is in effect.
type Reporter interface {
	Readings(ctx context.Context) (map[string]float64, error)
}

// Clients are the probes that an agent runs, as a change sees them.
type Clients interface {
	// Renew lets a probe go on without what it kept until now, such as its socket; back gives it that again.
	Renew(id string) (back func() error, err error)
}

// Namespace is the place where a change is made, as the change sees it.
type Namespace struct {
	// Scope of the undo list that belongs to the change.
	Scope *undo.Scope
	// Programs of the place: a pod's are its containers.
	Programs program.Keeper
	// Clients are the agent's probes.
	Clients Clients
	// Run and Place are the run's id, and the place: node/node-1, pod/client, outside, host.
	Run, Place string
	// Addresses are the IPv4 addresses of the pods that the change asked for.
	Addresses map[string]netip.Addr
	// Name is a name for nft tables and the like that no other change of any run has.
	Name string
}
