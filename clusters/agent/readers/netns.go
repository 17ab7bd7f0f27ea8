package readers

import (
	"context"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// ReadNetns asks an agent for the inode of its network namespace, by which the kernel names the namespace in its log.
var ReadNetns = agent.Op[agent.None, agent.None, uint64]{Name: "netns"}

// HandleNetns serves ReadNetns.
func HandleNetns(context.Context, agent.None, func(agent.None)) (uint64, error) {
	return procs.Netns(0)
}
