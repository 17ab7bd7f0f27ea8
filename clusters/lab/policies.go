package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

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

// dropLine says what was dropped in terms of pods, as kube-iptables-tailer does with the lines of an iptables log.
func (c *cluster) dropLine(place string, d enforce.Drop) logs.Line {
	port := strconv.Itoa(int(d.Port))
	policies := strings.Join(d.Policies, ",")
	peer, whose := d.Peer, ""
	for _, pod := range c.work.pods {
		if pod.Status.PodIP == d.Peer {
			peer = pod.Namespace + "/" + pod.Name
			whose = " (" + peer + ")"
		}
	}
	fields := map[string]string{
		"namespace": d.Namespace, "pod": d.Pod, "direction": d.Direction, "policy": policies, "peer": peer, "protocol": d.Protocol,
	}
	var what string
	switch {
	case d.Port != 0 && d.Direction == enforce.Egress:
		what = fmt.Sprintf("to %s/%s%s", net.JoinHostPort(d.Peer, port), d.Protocol, whose)
	case d.Port != 0:
		what = fmt.Sprintf("from %s%s to port %s/%s", d.Peer, whose, port, d.Protocol)
	case d.Direction == enforce.Egress:
		what = fmt.Sprintf("to %s%s, %s,", d.Peer, whose, d.Protocol)
	default:
		what = fmt.Sprintf("from %s%s, %s,", d.Peer, whose, d.Protocol)
	}
	if d.Port != 0 {
		fields["port"] = port
	}
	return logs.Line{
		Source: logs.SourceNFLOG, Event: logs.PolicyDrop, On: place, Fields: fields,
		Line: fmt.Sprintf("%s of %s/%s %s dropped: isolated by %s", d.Direction, d.Namespace, d.Pod, what, strings.Join(d.Policies, ", ")),
	}
}
