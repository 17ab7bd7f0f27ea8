package provision

import (
	"fmt"
	"os"

	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
)

// Claim locks a cluster, by its name or short name, until the returned file is closed or the process ends, so that nobody deletes a
// cluster that a run uses.
func Claim(name string) (*os.File, error) {
	name = FullName(name)
	file, err := runstate.Claim("cluster-" + name)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	return file, nil
}
