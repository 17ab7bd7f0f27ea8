// Package faults holds every change that scenarios can make: faults and remedies are the same thing. A change is one file and one line of
// the catalogue. The fields of its struct are its settings, and their comments become the schema.
package faults

import (
	"context"
	"net/netip"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Entry is a change in the catalogue.
type Entry struct {
	// On are the kinds of place at which it can be made: node, pod, outside, host, cluster.
	On []string
	// New returns fresh settings.
	New func() any
}

// Kinds of place: those that are network namespaces, those where connections end, and all at which an agent runs.
var (
	node, pod, host = []string{"node"}, []string{"pod"}, []string{"host"}
	ends            = []string{"pod", "outside"}
	inCluster       = []string{"node", "pod"}
	namespaces      = []string{"node", "pod", "outside"}
	anywhere        = []string{"node", "pod", "outside", "host"}
)

// Catalogue lists every change by the name that scenarios use.
var Catalogue = map[string]Entry{
	"cni-config":          {node, func() any { return &CNIConfig{} }},
	"cni-config-away":     {node, func() any { return &CNIConfigAway{} }},
	"cni-config-back":     {node, func() any { return &CNIConfigBack{} }},
	"connection-flood":    {namespaces, func() any { return &ConnectionFlood{} }},
	"conntrack-flush":     {namespaces, func() any { return &ConntrackFlush{} }},
	"conntrack-max":       {host, func() any { return &ConntrackMax{} }},
	"conntrack-occupy":    {namespaces, func() any { return &ConntrackOccupy{} }},
	"dns-config":          {pod, func() any { return &DNSConfig{} }},
	"freeze":              {inCluster, func() any { return &Freeze{} }},
	"free-leases":         {node, func() any { return &FreeLeases{} }},
	"hold-fin":            {ends, func() any { return &HoldFIN{} }},
	"hold-pairs":          {namespaces, func() any { return &HoldPairs{} }},
	"link":                {namespaces, func() any { return &Link{} }},
	"log-drops":           {node, func() any { return &LogDrops{} }},
	"masquerade":          {node, func() any { return &Masquerade{} }},
	"mss-clamp":           {namespaces, func() any { return &MSSClamp{} }},
	"neighbour":           {namespaces, func() any { return &Neighbour{} }},
	"nodelocal-addresses": {node, func() any { return &NodeLocalAddresses{} }},
	"nodelocal-cache":     {node, func() any { return &NodeLocalCache{} }},
	"nothing":             {anywhere, func() any { return &Nothing{} }},
	"notrack":             {namespaces, func() any { return &NoTrack{} }},
	"outside-dns":         {[]string{"outside"}, func() any { return &OutsideDNS{} }},
	"packets":             {namespaces, func() any { return &Packets{} }},
	"pod-leases":          {node, func() any { return &PodLeases{} }},
	"reorder":             {namespaces, func() any { return &Reorder{} }},
	"restart-client":      {pod, func() any { return &RestartClient{} }},
	"restart-container":   {pod, func() any { return &RestartContainer{} }},
	"route":               {namespaces, func() any { return &Route{} }},
	"slow-nfqueue":        {namespaces, func() any { return &SlowNFQueue{} }},
	"stray-segment":       {ends, func() any { return &StraySegment{} }},
	"resume":              {inCluster, func() any { return &Resume{} }},
	"sysctl":              {anywhere, func() any { return &Sysctl{} }},
}

// Change is made at one place, by the agent of that place. A change to the cluster as a whole implements site.ClusterChange instead and
// is in package clusterwide.
type Change interface {
	// Apply makes the change. Before each step it writes to ns.Scope how to undo the step. Anything that continues after Apply has returned
	// is ended by a function in the scope, not by ctx.
	Apply(ctx context.Context, ns *Namespace) error
}

// Reporter is a change that reports numbers which prove its effect, beside units.Applied, which every change has. It also has a method
// Keys() units.Keys with their meanings, against which scenarios are checked. All changes do, except Nothing, which has no effect.
type Reporter interface {
	Readings(ctx context.Context) (map[string]float64, error)
}

// Meeter is a change that acts on single flows and says on which, so that the attempts that it met can be told from those that it missed.
type Meeter interface {
	// Meetings returns the flows since the last call, and the last error, if there was one.
	Meetings() (met []changes.Meeting, trouble string)
}

// Clients is a change's view of the probes that an agent runs.
type Clients interface {
	// Renew makes a probe continue without its state so far, such as its socket; back restores it.
	Renew(id string) (back func() error, err error)
	// Port is the source port of a probe's kept socket, or 0 if it has none.
	Port(id string) uint16
}

// Namespace is a change's view of the place at which it is made.
type Namespace struct {
	// Scope of the undo list that belongs to the change.
	Scope *undo.Scope
	// Own starts programs of relapse's own, which end with the agent.
	Own *program.Manager
	// Programs of the place: a pod's are its containers.
	Programs program.Keeper
	// Processes finds processes of a real node by their name. It is nil elsewhere.
	Processes func(name string) ([]procs.ID, error)
	// Clients are the agent's probes.
	Clients Clients
	// Run and Place are the run's id, and the place: node/node-1, pod/client, outside, host.
	Run, Place string
	// Addresses are the IPv4 addresses of the pods, and of places such as node-of/POD, that the change asked for.
	Addresses map[string]netip.Addr
	// Ports are the indexes of the same pods' links on their nodes; 0 if a pod's link has no other end.
	Ports map[string]int
	// Name is a name for nft tables and the like that no other change of any run has.
	Name string
}
