package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/harness/site"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// NoCNI takes the configuration of the CNI plugins away from every node, as on a cluster on which none was installed yet, and
// waits until the nodes say that they are not ready. Pods that run go on; new ones get no network.
type NoCNI struct{}

// ApplyTo is made at all nodes, and waits for what the kubelets report.
func (*NoCNI) ApplyTo(ctx context.Context, s *site.Site, id string) (func(context.Context) error, error) {
	return onKubelets(ctx, s, func(nodes []string) (func(context.Context) error, error) {
		return s.ApplyAt(ctx, id, "cni-config-away", &CNIConfigAway{}, nodes)
	}, false)
}

// ReadFrom: away is how many files are out of the container runtimes' sight, notReady how many nodes are not ready.
func (*NoCNI) ReadFrom(ctx context.Context, s *site.Site, id string) (map[string]float64, error) {
	nodes, err := s.Cluster.Resolve("nodes")
	if err != nil {
		return nil, err
	}
	byNode, err := s.ReadAt(ctx, id, nodes)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, v := range byNode {
		values["away"] += v["away"]
	}
	notReady, err := s.Cluster.(clusters.Orchestrated).NotReady(ctx)
	values["notReady"] = float64(notReady)
	return values, err
}

// InstallCNI puts the configuration that no-cni has taken away back into its place, as installing a CNI does, and waits until the
// nodes are ready. Withdrawn, the nodes are without one again.
type InstallCNI struct{}

// ApplyTo is made at all nodes, and waits for what the kubelets report.
func (*InstallCNI) ApplyTo(ctx context.Context, s *site.Site, id string) (func(context.Context) error, error) {
	return onKubelets(ctx, s, func(nodes []string) (func(context.Context) error, error) {
		return s.ApplyAt(ctx, id, "cni-config-back", &CNIConfigBack{}, nodes)
	}, true)
}

// onKubelets makes a change at all nodes and waits until their kubelets say that they are ready, or not; undone, the other way round.
func onKubelets(ctx context.Context, s *site.Site, apply func(nodes []string) (func(context.Context) error, error), ready bool) (func(context.Context) error, error) {
	cluster, ok := s.Cluster.(clusters.Orchestrated)
	if !ok {
		return nil, errors.New("this cluster has no kubelets")
	}
	nodes, err := s.Cluster.Resolve("nodes")
	if err != nil {
		return nil, err
	}
	withdraw, err := apply(nodes)
	undo := func(ctx context.Context) error {
		return errors.Join(withdraw(ctx), cluster.AwaitNodes(ctx, !ready))
	}
	if err != nil {
		return undo, err
	}
	return undo, cluster.AwaitNodes(ctx, ready)
}

// awaySuffix hides a configuration from the container runtime, which looks for .conf, .conflist and .json.
const awaySuffix = ".relapse-away"

// cniConfigs lists the files of a node's CNI configuration that have a suffix. The agent of a node sees the node's own files
// through its first process.
func cniConfigs(suffix string) ([]string, error) {
	const dir = "/proc/1/root/etc/cni/net.d"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("this place has no CNI: %w", err)
	}
	var files []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), suffix)
		known := slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(name))
		if known && strings.HasSuffix(e.Name(), suffix) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no CNI configuration%s", dir, suffix)
	}
	return files, nil
}

// CNIConfigAway is the part of no-cni on a node.
type CNIConfigAway struct{}

// Apply keeps each file under another name.
func (*CNIConfigAway) Apply(_ context.Context, ns *Namespace) error {
	files, err := cniConfigs("")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := ns.Scope.SetFile(file+awaySuffix, text, 0o600); err != nil {
			return err
		}
		record, err := undo.FileRecord(file)
		if err != nil {
			return err
		}
		if err := ns.Scope.Push(record); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// Readings: away is how many files are kept under another name.
func (*CNIConfigAway) Readings(context.Context) (map[string]float64, error) {
	files, err := cniConfigs(awaySuffix)
	return map[string]float64{"away": float64(len(files))}, err
}

// CNIConfigBack is the part of install-cni on a node.
type CNIConfigBack struct{}

// Apply writes each file that was taken away.
func (*CNIConfigBack) Apply(_ context.Context, ns *Namespace) error {
	files, err := cniConfigs(awaySuffix)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := ns.Scope.SetFile(strings.TrimSuffix(file, awaySuffix), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
