package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/relapse-k8s/relapse/clusters/kind/cni"
)

// Load loads image archives into every node, all nodes at once.
func (c *Cluster) Load(ctx context.Context, archives ...string) error {
	if len(archives) == 0 {
		return nil
	}
	handles, err := ask(ctx, func() ([]nodes.Node, error) { return kindProvider().ListInternalNodes(c.Spec.Name) })
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	var wait sync.WaitGroup
	for _, handle := range handles {
		wait.Go(func() {
			for _, archive := range archives {
				err := loadOne(ctx, archive, func(r io.Reader) error { return nodeutils.LoadImageArchive(handle, r) })
				if err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("node %s: image archive %s: %w", handle, archive, err))
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func loadOne(ctx context.Context, archive string, load func(io.Reader) error) error {
	_, err := ask(ctx, func() (struct{}, error) {
		file, err := os.Open(archive)
		if err != nil {
			return struct{}{}, err
		}
		defer file.Close()
		return struct{}{}, load(file)
	})
	return err
}

// Archives lists the image archives in a folder.
func Archives(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var archives []string
	for _, entry := range entries {
		switch name := entry.Name(); {
		case entry.IsDir(), cni.IsFile(name):
		case filepath.Ext(name) == ".tar", filepath.Ext(name) == ".tgz", filepath.Ext(name) == ".gz":
			archives = append(archives, filepath.Join(dir, name))
		}
	}
	if len(archives) == 0 {
		return nil, fmt.Errorf("folder %s has no image archives (*.tar, *.tar.gz, *.tgz)", dir)
	}
	return archives, nil
}
