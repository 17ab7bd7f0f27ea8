package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// plain is a minimal network: a veth pair for each pod (ptp) with an address from the node's share (host-local), routes between the
// nodes, and masquerading. Its programs are in the node image's /opt/cni/bin. It has no daemon and does not enforce NetworkPolicies.
var plain = Plugin{HostLocal: true, Routes: true, Install: installPlain}

// plainFile is read by the node's containerd. Its name sorts before those of other plugins.
const plainFile = "/etc/cni/net.d/10-relapse-plain.conflist"

func installPlain(ctx context.Context, on Nodes) error {
	nodes, err := shares(ctx, on)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	var wait sync.WaitGroup
	for name := range nodes {
		wait.Go(func() {
			err := nodes[name].install(ctx, on, name, nodes)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// share is a node's part of the pod network, and the address at which other nodes reach it.
type share struct{ pods, address string }

// shares waits until every node has a share.
func shares(ctx context.Context, on Nodes) (found map[string]share, err error) {
	err = await.Until(ctx, limits.PodCIDRs, limits.Poll, func(ctx context.Context) (string, error) {
		var missing []string
		if found, missing, err = look(ctx, on); err != nil || len(missing) == 0 {
			return "", err
		}
		return "no pod addresses or no address of their own for nodes " + strings.Join(missing, ", "), nil
	})
	return found, err
}

func look(ctx context.Context, on Nodes) (found map[string]share, missing []string, err error) {
	list, err := on.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, on.Names, err
	}
	found = map[string]share{}
	for _, node := range list.Items {
		for _, a := range node.Status.Addresses {
			if a.Type == corev1.NodeInternalIP && node.Spec.PodCIDR != "" {
				found[node.Name] = share{node.Spec.PodCIDR, a.Address}
			}
		}
	}
	for _, name := range on.Names {
		if _, ok := found[name]; !ok {
			missing = append(missing, name)
		}
	}
	return found, missing, nil
}

func (s share) install(ctx context.Context, on Nodes, name string, all map[string]share) error {
	var script strings.Builder
	for other, to := range all {
		if other == name {
			continue
		}
		for _, text := range []string{to.pods, to.address} { // they become part of a shell command
			if _, err := netip.ParsePrefix(text); err != nil {
				if _, err := netip.ParseAddr(text); err != nil {
					return fmt.Errorf("node %s: %w", other, err)
				}
			}
		}
		fmt.Fprintf(&script, "ip route replace %s via %s\n", to.pods, to.address)
	}
	// Packets that leave the pod network are masqueraded with fully random ports, as on the lab's nodes.
	fmt.Fprintf(&script, `nft -f - <<'END'
table ip cni
delete table ip cni
table ip cni {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		ip saddr %s ip daddr != %[1]s masquerade fully-random
	}
}
END
`, on.PodCIDR)
	if out, err := on.Run(ctx, name, script.String(), "sh", "-eu"); err != nil {
		return fmt.Errorf("node %s: routes and masquerading: %w: %s", name, err, out)
	}
	// The configuration is last, because it makes the node Ready. It is written to another file in the same folder and renamed, so that
	// nobody reads half of it. containerd reads the folder again when a file in it is renamed, but not when one is created.
	out, err := on.Run(ctx, name, plainConfig(s.pods), "sh", "-euc", "mkdir -p /etc/cni/net.d; cat >/etc/cni/net.d/.relapse-plain; mv /etc/cni/net.d/.relapse-plain "+plainFile)
	if err != nil {
		return fmt.Errorf("node %s: %s: %w: %s", name, plainFile, err, out)
	}
	return nil
}

// plainConfig is the configuration of a node with this share of the pods' network.
func plainConfig(pods string) string {
	type object = map[string]any
	config := object{
		"cniVersion": cniVersion, "name": "plain",
		"plugins": []object{
			{
				"type": "ptp",
				"ipam": object{
					"type": "host-local", "dataDir": "/run/cni-ipam-state",
					"ranges": [][]object{{{"subnet": pods}}}, "routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(config) // strings and maps can always be encoded
	return text.String()
}
