package netconf

import (
	"context"
	"net"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// reachLimit is the time limit of one attempt.
const reachLimit = time.Second

// Reach tries once to connect to HOST:PORT over TCP.
var Reach = agent.Op[string, agent.None, agent.None]{Name: "net/reach"}

// HandleReach serves Reach.
func HandleReach(ctx context.Context, address string, _ func(agent.None)) (agent.None, error) {
	conn, err := (&net.Dialer{Timeout: reachLimit}).DialContext(ctx, "tcp", address)
	if err != nil {
		return agent.None{}, err
	}
	return agent.None{}, conn.Close()
}
