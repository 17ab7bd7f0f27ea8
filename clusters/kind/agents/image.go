// Package agents runs relapse-agent on the nodes of a real cluster. It builds the image from files of this machine, installs the
// DaemonSet, opens streams over the exec API, and rewrites the workload's pods so that agents can restart their programs.
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

// repository of the image. It cannot be pulled from anywhere: it is loaded into the nodes.
const repository = "relapse.dev/agent"

// Image is the agent's image. The workload's pods use it too: it contains the programs that they can run.
type Image struct {
	image    v1.Image
	ref      string
	programs map[string]string // versions
	paths    map[string]string // paths in the image
}

// Build builds the image from relapse's own programs in the folder bin and from this machine's network tools, nginx, HAProxy and Envoy
// (if they are installed), with the libraries of all of these. The same files give the same reference.
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

// Ref is the image's reference, which depends on its content.
func (i *Image) Ref() string { return i.ref }

// Programs lists the programs that pods can run in addition to the agent's own, with their versions.
func (i *Image) Programs() map[string]string { return maps.Clone(i.programs) }

// Save writes the image as an archive for docker load and ctr images import.
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
