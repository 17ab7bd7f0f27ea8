// Package deploy runs relapse itself on a Kubernetes cluster: an image of relapse, and a Job whose pods share a suite, each with a lab of
// its own in a pod.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/ownimage"
)

// repository of the image. It cannot be pulled from anywhere: it is loaded into the nodes, or pushed elsewhere under another name.
const repository = "relapse.dev/relapse"

// program is relapse in the image. The programs of the lab lie beside it.
const program = "/relapse"

// tools are what the pods need beside the tools of agents: for the results to be fetched, and for the pod that has them to wait.
var tools = []string{"tar", "sleep", "bridge", "getconf"}

// Image makes the image of the programs of make build in the folder bin, and of this machine's network tools, nginx, HAProxy and Envoy (if
// they are installed), with the libraries of all of these. The same files give the same reference.
func Image(ctx context.Context, bin string) (*ownimage.Image, error) {
	tree, err := content(ctx, bin)
	if err != nil {
		return nil, fmt.Errorf("relapse's image: %w", err)
	}
	return ownimage.Build(repository, tree, program)
}

func content(ctx context.Context, bin string) (ownimage.Tree, error) {
	tree, _, _, err := agents.Content(ctx, bin)
	if err != nil {
		return nil, err
	}
	all := ownimage.Closure{Tree: tree}
	for _, name := range []string{"relapse", "relapse-kube-proxy"} {
		path, err := filepath.Abs(filepath.Join(bin, name))
		if err == nil {
			err = errors.Join(tree.Copy(path, "/"+name, 0o755), all.Needs(ctx, path))
		}
		if err != nil {
			return nil, fmt.Errorf("%w; make build makes it", err)
		}
	}
	for _, name := range tools {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		if err := all.Add(ctx, path); err != nil {
			return nil, err
		}
	}
	tree.Folder(resultsPath, 0o755)
	return tree, nil
}
