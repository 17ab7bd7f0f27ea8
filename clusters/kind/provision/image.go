package provision

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
)

// ownImage is the image that make node-image builds.
const ownImage = "relapse.dev/node"

// NodeImage is the nodes' image of a configuration: the one in Spec, the project's own if the engine has it, or kind's.
func NodeImage(ctx context.Context, s Spec) string {
	if s.Image != "" {
		return s.Image
	}
	if docker, err := containers.Find(ctx); err == nil {
		return chooseImage(ctx, docker)
	}
	return defaults.Image
}

var release = regexp.MustCompile(`^v(\d+)\.(\d+)\.(\d+)$`)

// chooseImage returns the newest of the project's own images, or else kind's default.
func chooseImage(ctx context.Context, docker containers.Engine) string {
	tags, err := docker.Run(ctx, "image", "ls", "--format", "{{.Tag}}", ownImage)
	if err != nil {
		return defaults.Image
	}
	var newest []int
	for _, tag := range strings.Fields(tags) {
		if v := parseVersion(tag); v != nil && slices.Compare(v, newest) > 0 {
			newest = v
		}
	}
	if newest != nil {
		return fmt.Sprintf("%s:v%d.%d.%d", ownImage, newest[0], newest[1], newest[2])
	}
	return defaults.Image
}

// parseVersion parses v1.36.3, and returns nil for anything else.
func parseVersion(text string) []int {
	match := release.FindStringSubmatch(text)
	if match == nil {
		return nil
	}
	var v []int
	for _, part := range match[1:] {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		v = append(v, n)
	}
	return v
}

// nodeImage decides which image the nodes use. Nothing is downloaded: the image must be in the engine or in one of the archives.
func (m *maker) nodeImage(ctx context.Context) error {
	for _, archive := range m.nodeArchives {
		m.Spec.tell("loading the nodes' image into the engine")
		if _, err := m.engine.Run(ctx, "load", "--quiet", "--input", archive); err != nil {
			return fmt.Errorf("archive %s: %w", archive, err)
		}
	}
	image := m.Spec.Image
	if image == "" {
		image = chooseImage(ctx, m.engine)
	}
	names := []string{image}
	// An image from an archive has a tag, but no registry digest.
	if tag, _, ok := strings.Cut(image, "@"); ok {
		names = append(names, tag)
	}
	for _, name := range names {
		_, err := m.engine.Run(ctx, "image", "inspect", "--format", "{{.Id}}", name)
		if err == nil {
			m.Spec.Image = name
			return nil
		}
		if !strings.Contains(strings.ToLower(err.Error()), "no such image") {
			return err
		}
	}
	bring := "docker pull " + image
	if m.Spec.Image == "" || strings.HasPrefix(m.Spec.Image, ownImage+":") {
		bring = "make node-image builds the project's own; " + bring + " brings kind's"
		if strings.HasPrefix(image, ownImage+":") {
			bring = "make node-image"
		}
	}
	return fmt.Errorf("the engine does not have the nodes' image %s: %s, or --images with a folder that has its archive", image, bring)
}

// lookInto reads what must be known about the nodes' image before it is used, without running it.
func (m *maker) lookInto(ctx context.Context) error {
	wrong := func(err error) error {
		return fmt.Errorf("image %s is not an image for kind's nodes: %w", m.Spec.Image, err)
	}
	id, err := m.engine.Run(ctx, "create", "--network", "none", "--label", containers.LabelKindCluster+"="+m.Spec.Name,
		"--label", containers.LabelInstance+"="+m.instance, m.Spec.Image, "none")
	if err != nil {
		return wrong(err)
	}
	version, err := m.readFile(ctx, id, "/kind/version")
	if err == nil {
		m.version = strings.TrimSpace(version)
		if !strings.HasPrefix(m.version, "v") {
			err = fmt.Errorf("/kind/version is %q", m.version)
		}
	}
	if plugin := m.plugin; err == nil && plugin.Manifest != "" {
		var text string
		text, err = m.readFile(ctx, id, plugin.Manifest)
		if err == nil && !strings.Contains(text, plugin.Text) {
			err = fmt.Errorf("it does not contain the CNI %s (%s): use one of kind's own images, or another CNI", m.Spec.CNI, plugin.Manifest)
		}
	}
	_, rmErr := m.engine.Run(context.WithoutCancel(ctx), "rm", "--force", "--volumes", id)
	if err != nil {
		return errors.Join(wrong(err), rmErr)
	}
	return rmErr
}

// readFile reads a file of a container.
func (m *maker) readFile(ctx context.Context, container, path string) (string, error) {
	cmd := exec.CommandContext(ctx, m.engine.Program, "cp", "--follow-link", container+":"+path, "-")
	var archive, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &archive, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s cp %s: %w: %s", m.engine.Program, path, err, bytes.TrimSpace(errs.Bytes()))
	}
	files := tar.NewReader(&archive)
	if _, err := files.Next(); err != nil {
		return "", fmt.Errorf("%s cp %s: %w", m.engine.Program, path, err)
	}
	text, err := io.ReadAll(io.LimitReader(files, 1<<20))
	return string(text), err
}
