package kind

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/logs"
)

// followFlows reports the packets of the lane's pods that network policies dropped, if the CNI logs them.
func (c *cluster) followFlows(ctx context.Context, hear func(logs.Line)) error {
	plugin, err := cni.Find(c.kind.cluster.Spec.CNI)
	if err != nil || plugin.Flows == nil {
		return err
	}
	pods, err := c.kind.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: plugin.Flows.Selector})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, pod := range pods.Items {
		node, ours := c.on(pod.Spec.NodeName)
		if !ours {
			continue
		}
		group.Go(func() error {
			return c.kind.followPod(ctx, &pod, plugin.Flows.Container, func(line string) {
				if drop, ok := plugin.Flows.Drop(line); ok && drop.Namespace == c.namespace {
					hear(c.told(drop).Line("node/" + node.Name))
				}
			})
		})
	}
	return group.Wait()
}

// told is a drop as the scenario's file has the names: the lane's namespace is the default one.
func (p *part) told(drop logs.Drop) logs.Drop {
	const given = metav1.NamespaceDefault + "/"
	drop.Namespace = metav1.NamespaceDefault
	if pod, ours := strings.CutPrefix(drop.Peer, p.namespace+"/"); ours {
		drop.Peer = given + pod
	}
	for i, policy := range drop.Policies {
		if name, ours := strings.CutPrefix(policy, p.namespace+"/"); ours {
			drop.Policies[i] = given + name
		}
	}
	return drop
}
