// Package ownimage puts images together from files of this machine: no registry and no build engine is needed.
package ownimage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	registry "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is an image that is loaded into nodes.
type Image struct {
	image v1.Image
	ref   string
}

// Build makes an image of a tree. Its repository is one that cannot be pulled from anywhere. The same files give the same reference.
func Build(repository string, t Tree, entrypoint ...string) (*Image, error) {
	layer, err := newLayer(t)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{layer.digest}},
		Config: v1.Config{
			Entrypoint: entrypoint,
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	})
	if err != nil {
		return nil, err
	}
	id, err := image.ConfigName()
	if err != nil {
		return nil, err
	}
	return &Image{image: image, ref: repository + ":sha-" + id.Hex[:12]}, nil
}

// Ref is the image's reference, which depends on its content.
func (i *Image) Ref() string { return i.ref }

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
