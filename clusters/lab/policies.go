package lab

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/clusters/logs"

	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/lab/policy"
)

// enforce tells every node what to enforce, and returns when the nodes' kernels do.
func (c *cluster) enforce(ctx context.Context) error {
	c.mu.Lock()
	rules, err := policy.Compile(policy.Cluster{Policies: c.work.policies, Pods: c.work.pods, Namespaces: c.work.namespaces})
	c.mu.Unlock()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range nodeNames(c.spec.Nodes) {
		group.Go(func() error {
			_, err := enforce.Program.Call(ctx, c.processes[nodePlace(name)].Conn, rules[name], nil)
			return err
		})
	}
	return group.Wait()
}

// followDrops reports the packets that network policies drop on a node.
func (c *cluster) followDrops(ctx context.Context, place string, hear func(logs.Line)) error {
	_, err := enforce.FollowDrops.Call(ctx, c.processes[place].Conn, agent.None{}, func(d enforce.Drop) { hear(c.dropLine(place, d)) })
	if errors.Is(err, agent.ErrGone) {
		return nil // a node that has gone drops nothing; that it has gone is noticed by others
	}
	return err
}

// dropLine names the pod at the other end.
func (c *cluster) dropLine(place string, d enforce.Drop) logs.Line {
	drop := logs.Drop{
		Namespace: d.Namespace, Pod: d.Pod, Direction: d.Direction, Policies: d.Policies, Address: d.Peer, Protocol: d.Protocol, Port: d.Port,
	}
	for _, pod := range c.work.pods {
		if pod.Status.PodIP == d.Peer {
			drop.Peer = pod.Namespace + "/" + pod.Name
		}
	}
	return drop.Line(place)
}
