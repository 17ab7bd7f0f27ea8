package netconf

import (
	"context"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// End is one end of a wire: a veth device in the namespace of a process. PID 0 is the agent's own namespace.
type End struct {
	PID  int
	Name string
	// MAC of the far end, if it must not be random.
	MAC string
}

// Wires are the veth pairs to create: both ends appear directly in the namespaces where they belong.
type Wires struct{ Pairs [][2]End }

// Connect creates wires. It is for an agent that sees the machine's process ids and may administer both namespaces.
var Connect = agent.Op[Wires, agent.None, agent.None]{Name: "net/connect"}

// HandleConnect serves Connect.
func HandleConnect(_ context.Context, wires Wires, _ func(agent.None)) (agent.None, error) {
	for _, pair := range wires.Pairs {
		near, far := pair[0], pair[1]
		veth := &netlink.Veth{LinkAttrs: named(near.Name), PeerName: far.Name}
		if near.PID != 0 {
			veth.Namespace = netlink.NsPid(near.PID)
		}
		if far.MAC != "" {
			mac, err := net.ParseMAC(far.MAC)
			if err != nil {
				return agent.None{}, err
			}
			veth.PeerHardwareAddr = mac
		}
		if far.PID != 0 {
			veth.PeerNamespace = netlink.NsPid(far.PID)
		}
		if err := netlink.LinkAdd(veth); err != nil {
			return agent.None{}, fmt.Errorf("veth pair %s (process %d) - %s (process %d): %w", near.Name, near.PID, far.Name, far.PID, err)
		}
	}
	return agent.None{}, nil
}
