package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	registry "github.com/google/go-containerregistry/pkg/name"

	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// fetch gets what the CNI's project publishes: its file, and in the engine those of its images that no archive has. With a folder nothing
// is downloaded.
func (m *maker) fetch(ctx context.Context) (err error) {
	p := m.plugin.Published
	if p == nil {
		return nil
	}
	if m.file, err = p.Read(ctx, m.Spec.Folder, m.Spec.tell); err != nil {
		return err
	}
	if p.Changed(m.file) {
		m.Notes = append(m.Notes, fmt.Sprintf("%s is not the file that the project published.", filepath.Join(m.Spec.Folder, p.File)))
	}
	// A file that is not what it should be is found before anything is made.
	if _, err := p.Objects(m.file, cni.Settings{PodCIDR: PodCIDR, Proxy: m.Spec.Proxy, Server: "192.0.2.1", Kubernetes: "v1.36.0"}); err != nil {
		return fmt.Errorf("%s: %w", p.File, err)
	}
	archived, err := namesIn(m.archives)
	if err != nil {
		return err
	}
	for _, image := range p.Names() {
		if slices.Contains(archived, fullName(image)) {
			continue
		}
		if err := m.pull(ctx, image, p.Images[image]); err != nil {
			return err
		}
		m.engines = append(m.engines, image)
	}
	return nil
}

// pull makes the engine have an image.
func (m *maker) pull(ctx context.Context, image, digest string) error {
	if _, err := m.engine.Run(ctx, "image", "inspect", "--format", "{{.Id}}", image); err == nil {
		return nil
	}
	source := image
	if digest != "" {
		source = image[:strings.LastIndexByte(image, ':')] + "@" + digest
	}
	if m.Spec.Folder != "" {
		return fmt.Errorf("no archive in %s has the image %s: docker pull %[2]s && docker save -o %s %[2]s", m.Spec.Folder, image,
			filepath.Join(m.Spec.Folder, strings.NewReplacer("/", "-", ":", "-").Replace(image)+".tar"))
	}
	m.Spec.tell("pulling " + image)
	limited, cancel := context.WithTimeoutCause(ctx, limits.Pull, fmt.Errorf("it took longer than %s", limits.Pull))
	defer cancel()
	_, err := m.engine.Run(limited, "pull", "--quiet", source)
	if err == nil && digest != "" {
		_, err = m.engine.Run(ctx, "tag", source, image)
	}
	if err != nil {
		if limited.Err() != nil {
			err = errors.Join(context.Cause(limited), err)
		}
		return fmt.Errorf("image %s: %w; or --images with a folder that has its archive", image, err)
	}
	return nil
}

// saveImages writes those of the CNI's images that are in the engine to an archive in a folder.
func (m *maker) saveImages(ctx context.Context, dir string) (archives []string, err error) {
	if len(m.engines) == 0 {
		return nil, nil
	}
	path := filepath.Join(dir, "published.tar")
	_, err = m.engine.Run(ctx, append([]string{"save", "--output", path}, m.engines...)...)
	return []string{path}, err
}

// namesIn lists the full names of the images in archives.
func namesIn(archives []string) (names []string, err error) {
	for _, archive := range archives {
		some, err := imagesIn(archive)
		if err != nil {
			return nil, err
		}
		for _, name := range some {
			names = append(names, fullName(name))
		}
	}
	return names, nil
}

// fullName is an image's name with its registry: docker save leaves that of Docker out.
func fullName(image string) string {
	reference, err := registry.ParseReference(image)
	if err != nil {
		return image
	}
	return reference.Name()
}

// deploy creates the CNI's objects and waits for its pods.
func (m *maker) deploy(ctx context.Context, on cni.Nodes) error {
	settings := cni.Settings{PodCIDR: PodCIDR, Proxy: m.Spec.Proxy, Kubernetes: m.version}
	for _, node := range m.Nodes {
		if node.Container == m.controlPlane() {
			settings.Server = node.Address.String()
		}
	}
	objects, err := m.plugin.Published.Objects(m.file, settings)
	if err != nil {
		return err
	}
	notes, err := cni.Deploy(ctx, on, objects)
	m.Notes = append(m.Notes, notes...)
	return err
}

// inScratch calls f with a folder that is gone when it returns.
func (m *maker) inScratch(f func(dir string) error) error {
	dir, err := os.MkdirTemp(m.scratch(), "relapse-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return f(dir)
}
