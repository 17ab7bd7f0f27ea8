package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
)

// Commands of kubectl, which run on the control plane, because kubectl is installed there.
var describing = map[string]string{
	"nodes.txt":          "get nodes -o wide",
	"pods.txt":           "get pods -A -o wide",
	"events.txt":         "get events -A --sort-by=.lastTimestamp",
	"objects.txt":        "get deployments,daemonsets,services,endpointslices,configmaps -A -o wide",
	"describe-nodes.txt": "describe nodes",
	"describe-pods.txt":  "describe pods -A",
}

// looking has the shell commands for each node.
var looking = map[string]string{
	"kubelet.log":    "journalctl --no-pager --lines=5000 --unit=kubelet.service",
	"containerd.log": "journalctl --no-pager --lines=5000 --unit=containerd.service",
	"images.txt":     "crictl images; crictl ps --all; crictl pods",
	"cni.txt": "ls -l /etc/cni/net.d /opt/cni/bin /run/cni-ipam-state /var/lib/cni; " +
		`for f in /etc/cni/net.d/*; do echo "==> $f"; cat "$f"; done; journalctl --no-pager --lines=200 --grep='[Cc][Nn][Ii]'`,
	"network.txt": "cat /etc/resolv.conf /etc/hosts; ip address; ip route; ip rule; ip neighbour; ss -s; nft list ruleset; " +
		"iptables-save -c; sysctl net.ipv4.ip_forward",
	"pods.log": `for f in $(find /var/log/pods -name '*.log'); do echo "==> $f"; tail -n 500 "$f"; done`,
}

// Collect writes what explains the state of the cluster to a folder: events and descriptions, and for each node its logs, its CNI
// configuration and its network. If a command fails, its error is written instead.
func (c *Cluster) Collect(ctx context.Context, dir string) error {
	var containers []string
	handles, err := ask(ctx, func() ([]nodes.Node, error) { return kindProvider().ListNodes(c.Spec.Name) })
	if err != nil {
		return err
	}
	for _, handle := range handles {
		containers = append(containers, handle.String())
	}
	var mu sync.Mutex
	var errs []error
	var wait sync.WaitGroup
	// One command at a time for each node: more would be too much for two cores.
	each := func(folder string, commands map[string][]string) {
		wait.Go(func() {
			for name, argv := range commands {
				err := c.keep(ctx, filepath.Join(dir, folder, name), argv)
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	questions := map[string][]string{}
	for name, question := range describing {
		questions[name] = []string{"exec", c.controlPlane(), "sh", "-c", "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=10s " + question}
	}
	each("", questions)
	for _, container := range containers {
		commands := map[string][]string{"console.log": {"logs", container}, "container.json": {"inspect", container}}
		for name, script := range looking {
			commands[name] = []string{"exec", container, "sh", "-c", script}
		}
		each(container, commands)
	}
	wait.Wait()
	return errors.Join(errs...)
}

// keep writes the output of a command of the engine's client to a file.
func (c *Cluster) keep(ctx context.Context, path string, args []string) error {
	text, err := c.combined(ctx, args...)
	if err != nil {
		text += fmt.Sprintf("\n(docker %q: %v)\n", args, err)
	}
	if mkErr := os.MkdirAll(filepath.Dir(path), 0o755); mkErr != nil {
		return mkErr
	}
	return errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
}
