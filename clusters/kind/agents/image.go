// Package agents runs relapse-agent on the nodes of a real cluster. It builds the image from files of this machine, installs the
// DaemonSet, opens streams over the exec API, and rewrites the workload's pods so that agents can restart their programs.
package agents

import (
	"context"
	"fmt"
	"maps"

	"github.com/relapse-k8s/relapse/clusters/kind/ownimage"
)

// repository of the image. It cannot be pulled from anywhere: it is loaded into the nodes.
const repository = "relapse.dev/agent"

// Image is the agent's image. The workload's pods use it too: it contains the programs that they can run.
type Image struct {
	*ownimage.Image
	programs map[string]string // versions
	paths    map[string]string // paths in the image
}

// Build builds the image from relapse's own programs in the folder bin and from this machine's network tools, nginx, HAProxy and Envoy
// (if they are installed), with the libraries of all of these. The same files give the same reference.
func Build(ctx context.Context, bin string) (*Image, error) {
	t, programs, paths, err := Content(ctx, bin)
	if err != nil {
		return nil, fmt.Errorf("the agent's image: %w", err)
	}
	image, err := ownimage.Build(repository, t, agentPath)
	if err != nil {
		return nil, fmt.Errorf("the agent's image: %w", err)
	}
	return &Image{Image: image, programs: programs, paths: paths}, nil
}

// Programs lists the programs that pods can run in addition to the agent's own, with their versions.
func (i *Image) Programs() map[string]string { return maps.Clone(i.programs) }
