// Package changes is how the engine asks an agent to make a change, to undo it and to read what it says of itself.
package changes

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Request asks an agent to make a change.
type Request struct {
	// ID by which the change is undone and read later.
	ID string
	// Name in the catalogue of changes, and its settings.
	Name   string
	Config json.RawMessage
	// Run and Place are the run's id and the agent's place.
	Run, Place string
	// Addresses are the IPv4 addresses of the pods, or other places, that the change asked for, and Ports the indexes of the pods' links on
	// their nodes.
	Addresses map[string]netip.Addr
	Ports     map[string]int
}

// Pod is what its agent says of a pod, or of another place.
type Pod struct {
	// Address is its IPv4 address.
	Address netip.Addr
	// Port is the index of the link on its node that its own link is connected to; 0 if there is none.
	Port int
}

// Met is what a change did to single flows since it was last asked.
type Met struct {
	// Known is false for a change that does not tell flows apart.
	Known bool
	Flows []Meeting
	// Trouble is the last error that the change met with, if any.
	Trouble string
}

// Meeting is a flow that a change has acted on.
type Meeting struct {
	At time.Time
	// Flow in words, such as udp 10.0.0.1:4000 > 10.0.0.2:53.
	Flow string
	// Ports are its source and destination port.
	Ports [2]uint16
}

// WithApplied adds that reading, unless the change says it itself.
func WithApplied(readings map[string]float64, scope *undo.Scope) map[string]float64 {
	if readings == nil {
		readings = map[string]float64{}
	}
	if _, own := readings[units.Applied]; !own {
		readings[units.Applied] = 0
		if scope.Applied() {
			readings[units.Applied] = 1
		}
	}
	return readings
}

// Operations that agents serve on changes; faults.Server does (faults/serve.go).
var (
	Apply = agent.Op[Request, agent.None, agent.None]{Name: "change/apply"}
	Undo  = agent.Op[string, agent.None, agent.None]{Name: "change/undo"}
	Read  = agent.Op[string, agent.None, map[string]float64]{Name: "change/read"}
	// Meetings asks a change which flows it has acted on since the last time.
	Meetings = agent.Op[string, agent.None, Met]{Name: "change/meetings"}
	// ReadPod asks a pod's agent.
	ReadPod = agent.Op[agent.None, agent.None, Pod]{Name: "pod"}
)
