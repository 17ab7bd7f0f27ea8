// Package agents brings relapse-agent to the nodes of a real cluster: its image, put together of this machine's files, the DaemonSet,
// streams to it over the exec API, and the workload's pods whose programs it can start again.
package agents

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"

	registry "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// repository of the image. It is nowhere to be pulled from: nodes have it or not.
const repository = "relapse.dev/agent"

// Image is the agent's image. The workload's pods run in it as well: it has the programs that they can run.
type Image struct {
	image    v1.Image
	ref      string
	programs map[string]string // versions
	paths    map[string]string // places in the image
}

// Build puts the image together: relapse's own programs from the folder bin, and of this machine the network tools, nginx, HAProxy and Envoy
// where they are there, and the libraries of all of these. The same files make the same reference.
func Build(ctx context.Context, bin string) (*Image, error) {
	t, programs, paths, err := content(ctx, bin)
	if err != nil {
		return nil, fmt.Errorf("the agent's image: %w", err)
	}
	layer, err := newLayer(t)
	if err != nil {
		return nil, fmt.Errorf("the agent's image: %w", err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		image, err = mutate.ConfigFile(image, &v1.ConfigFile{
			OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{layer.digest}},
			Config: v1.Config{
				Entrypoint: []string{"/relapse-agent"},
				Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			},
		})
	}
	if err != nil {
		return nil, fmt.Errorf("the agent's image: %w", err)
	}
	id, err := image.ConfigName()
	if err != nil {
		return nil, fmt.Errorf("the agent's image: %w", err)
	}
	return &Image{image: image, ref: repository + ":sha-" + id.Hex[:12], programs: programs, paths: paths}, nil
}

// Ref is the image's reference, by what is in it.
func (i *Image) Ref() string { return i.ref }

// Programs lists the programs that pods can run beside the agent's own, with their versions.
func (i *Image) Programs() map[string]string { return maps.Clone(i.programs) }

// Save writes the image as an archive that docker load and ctr images import take.
func (i *Image) Save(path string) error {
	tag, err := registry.NewTag(i.ref)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".relapse-image-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := errors.Join(tarball.Write(tag, i.image, file), file.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(file.Name(), path)
}
