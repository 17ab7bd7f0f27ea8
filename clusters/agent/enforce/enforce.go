// Package enforce makes a node's kernel enforce network policies, as the agent of a CNI plugin does, and reports which packets
// they dropped. It runs in the node's agent and knows nothing of Kubernetes' selectors: package policy resolves them first.
//
//	enforce.go   what is to be enforced, and the operations
//	rules.go     that as nftables rules
//	table.go     the table: replaced in one transaction, gone when there is nothing to enforce
//	drops.go     the packets that were dropped, from the NFLOG group that the rules log to
package enforce

import (
	"context"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// Directions of traffic, as a pod sees it.
const (
	Ingress = "ingress"
	Egress  = "egress"
)

// Ruleset is what a node enforces.
type Ruleset struct {
	// Isolated are the node's pods that a policy isolates, once for each direction.
	Isolated []Isolated
}

// Isolated is a pod that is isolated in one direction: everything that is not allowed is dropped.
type Isolated struct {
	Namespace, Pod, IP string
	// Direction is Ingress or Egress.
	Direction string
	// Policies that isolate the pod, as namespace/name.
	Policies []string
	// Allow lists what all of them allow together.
	Allow []Allow
}

// Allow is a class of traffic; a field that is not set matches everything.
type Allow struct {
	// CIDR of the peer, without the networks in Except.
	CIDR   string   `json:",omitempty"`
	Except []string `json:",omitempty"`
	// Protocol is TCP or UDP; From and To are the range of destination ports. A From of 0 means any port.
	Protocol string `json:",omitempty"`
	From, To uint16 `json:",omitempty"`
}

// Drop is a packet that a policy dropped. Further packets of the same flow are ignored for a while.
type Drop struct {
	// Namespace, Pod, Direction and Policies are those of the Isolated.
	Namespace, Pod, Direction string
	Policies                  []string
	// Peer is the address at the other end.
	Peer string
	// Protocol is tcp, udp, icmp or a number.
	Protocol string
	// Port is the destination port of the connection, or 0 if the protocol has none.
	Port uint16
}

// Operations of a node's agent.
var (
	// Program replaces what the node enforces.
	Program = agent.Op[Ruleset, agent.None, agent.None]{Name: "policy/program"}
	// FollowDrops sends the drops since it was last called, and new ones until it is cancelled.
	FollowDrops = agent.Op[agent.None, Drop, agent.None]{Name: "policy/follow"}
)

// Enforcer enforces the policies of one node.
type Enforcer struct {
	table table
	drops drops
}

// Register adds the operations.
func (e *Enforcer) Register(ops map[string]agent.Handler) {
	Program.Handle(ops, func(ctx context.Context, r Ruleset, _ func(agent.None)) (agent.None, error) {
		return agent.None{}, e.Program(ctx, r)
	})
	FollowDrops.Handle(ops, func(ctx context.Context, _ agent.None, emit func(Drop)) (agent.None, error) {
		return agent.None{}, e.drops.follow(ctx, emit)
	})
}

// Program replaces what the node enforces, in one transaction. It listens for drops from before the first rule is added until after the
// last rule is deleted.
func (e *Enforcer) Program(ctx context.Context, r Ruleset) error {
	if len(r.Isolated) == 0 {
		if err := e.table.remove(); err != nil {
			return err
		}
		return e.drops.stop()
	}
	if err := e.drops.listen(ctx); err != nil {
		return err
	}
	return e.table.replace(r, e.drops.prefix)
}
