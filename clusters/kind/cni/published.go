package cni

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/relapse-k8s/relapse/clusters/limits"
)

// Published is a CNI as its project publishes it: a manifest or a chart, which names the images. Nothing of it is part of relapse.
type Published struct {
	// Version of the project's release.
	Version string
	// File is the name of the file in a folder of --images; URL is where the project publishes it, with this SHA256 (hexadecimal).
	File, URL, SHA256 string
	// Prefix is what the names of files of other versions begin with.
	Prefix string
	// Images that the objects name, each with the digest that the project published, or nothing if only its tag is known.
	Images map[string]string
	// Objects reads the file and returns the objects that it makes for a cluster.
	Objects func(file []byte, in Settings) ([]*unstructured.Unstructured, error)
}

// Settings are what the objects of a CNI depend on.
type Settings struct {
	// PodCIDR is the network of all pods.
	PodCIDR string
	// Proxy is kube-proxy's mode; with none the CNI does kube-proxy's work.
	Proxy string
	// Server is the API server's address on the nodes' network, and its port 6443.
	Server string
	// Kubernetes is the cluster's version: v1.36.3.
	Kubernetes string
}

// Read returns the content of the file: from the folder, or if that is empty from where the project publishes it. A downloaded file is
// kept in the user's cache.
func (p *Published) Read(ctx context.Context, folder string, tell func(string)) ([]byte, error) {
	if folder != "" {
		return p.fromFolder(folder)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(cache, "relapse", p.File)
	if text, err := os.ReadFile(kept); err == nil && p.check(text) == nil {
		return text, nil
	}
	tell("downloading " + p.URL)
	text, err := download(ctx, p.URL)
	if err == nil {
		err = p.check(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; or --images with a folder that has %s", p.URL, err, p.File)
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return nil, err
	}
	return text, os.WriteFile(kept, text, 0o644)
}

// Names are the images' names, sorted.
func (p *Published) Names() []string { return slices.Sorted(maps.Keys(p.Images)) }

// Changed says whether a file is not the one that the project published: a folder may have a changed one.
func (p *Published) Changed(text []byte) bool { return p.check(text) != nil }

func (p *Published) check(text []byte) error {
	if sum := fmt.Sprintf("%x", sha256.Sum256(text)); sum != p.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, and that of the project's file is %s", sum, p.SHA256)
	}
	return nil
}

func (p *Published) fromFolder(folder string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(folder, p.File))
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	others, _ := filepath.Glob(filepath.Join(folder, p.Prefix+"*")) // the pattern is valid
	others = slices.DeleteFunc(others, func(path string) bool { return !p.isFile(path) })
	if len(others) > 0 {
		return nil, fmt.Errorf("%s is not the version that relapse installs: %s is needed: %s", others[0], p.File, p.bring(folder))
	}
	return nil, fmt.Errorf("folder %s has no %s: %s", folder, p.File, p.bring(folder))
}

// released is a version.
var released = regexp.MustCompile(`^v?\d+\.\d+\.`)

// isFile says whether a path has the form of the project's file, of any version.
func (p *Published) isFile(path string) bool {
	name := filepath.Base(path)
	version, ok := strings.CutPrefix(strings.TrimSuffix(name, filepath.Ext(p.File)), p.Prefix)
	return ok && filepath.Ext(name) == filepath.Ext(p.File) && released.MatchString(version)
}

// bring is the command that brings the file into a folder.
func (p *Published) bring(folder string) string {
	return fmt.Sprintf("curl -fL -o %s %s", filepath.Join(folder, p.File), p.URL)
}

// IsFile says whether a path is one of a manifest or chart, and not an image archive.
func IsFile(path string) bool {
	for _, plugin := range Plugins {
		if plugin.Published != nil && plugin.Published.isFile(path) {
			return true
		}
	}
	return false
}

// maxFile is far above the size of any manifest or chart.
const maxFile = 32 << 20

func download(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Download, fmt.Errorf("no answer within %s", limits.Download))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxFile))
}
