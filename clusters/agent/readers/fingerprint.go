package readers

import (
	"context"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
)

// TakeFingerprint takes the fingerprint of the agent's namespace.
var TakeFingerprint = agent.Op[fingerprint.Options, agent.None, fingerprint.Fingerprint]{Name: "fingerprint"}

// HandleFingerprint serves TakeFingerprint.
func HandleFingerprint(ctx context.Context, opts fingerprint.Options, _ func(agent.None)) (fingerprint.Fingerprint, error) {
	return fingerprint.Take(ctx, opts)
}
