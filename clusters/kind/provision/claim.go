package provision

import (
	"fmt"
	"os"

	"github.com/relapse-k8s/relapse/harness/runstate"
)

// Claim takes a cluster, by its name or its short name, for this process alone until the returned file is closed or the process ends:
// nobody deletes a cluster that a run uses.
func Claim(name string) (*os.File, error) {
	name = FullName(name)
	file, err := runstate.Claim("cluster-" + name)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	return file, nil
}
