package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/netconf"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/program"
)

// Apply creates or replaces an object, as kubectl apply does. It returns when the pods that belong to it run, and have agents;
// what a Service or a NetworkPolicy comes to on the nodes is up to those who watch them. One that no workload has made may be changed, and
// is what it was again when the workload goes; it gets no label by which it would go itself.
func (c *cluster) Apply(ctx context.Context, text []byte) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	object, foreign, err := c.foreign(ctx, text)
	switch {
	case err != nil:
		return err
	case !foreign:
		if err := c.putOwn(ctx, text); err != nil {
			return err
		}
		return c.dialPods(ctx)
	}
	if err := c.kind.keepFormer(ctx, object.kind, object.namespace, object.name); err != nil {
		return err
	}
	_, err = c.objects.apply(ctx, text)
	return err
}

// Object returns an object as it was given, or as the cluster has it.
func (c *cluster) Object(ctx context.Context, kind, namespace, name string) ([]byte, error) {
	c.mu.Lock()
	text, ok := c.given[key(kind, namespace, name)]
	c.mu.Unlock()
	if ok {
		return text, nil
	}
	return c.objects.get(ctx, kind, namespace, name)
}

// Delete takes an object away.
func (c *cluster) Delete(ctx context.Context, kind, namespace, name string) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	foreign, err := c.objects.foreign(ctx, kind, namespace, name)
	if err != nil {
		return err
	}
	if foreign {
		if err := c.kind.keepFormer(ctx, kind, namespace, name); err != nil {
			return err
		}
	}
	if err := c.objects.remove(ctx, kind, namespace, name); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.given, key(kind, namespace, name))
	c.mu.Unlock()
	return c.dialPods(ctx)
}

// AddService adds a Service and returns its address when every node leads to an endpoint of it.
func (c *cluster) AddService(ctx context.Context, add clusters.Service) (string, error) {
	service := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: add.Namespace, Name: add.Name}, Spec: corev1.ServiceSpec{Selector: add.Selector},
	}
	for _, p := range add.Ports {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: p.Name, Protocol: corev1.Protocol(p.Protocol), Port: p.Port})
	}
	text, err := json.Marshal(service)
	if err != nil {
		return "", err
	}
	if err := c.put(ctx, text); err != nil {
		return "", err
	}
	made, err := c.kind.cluster.Client.CoreV1().Services(add.Namespace).Get(ctx, add.Name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	for _, p := range add.Ports {
		if p.Protocol == string(corev1.ProtocolTCP) {
			return made.Spec.ClusterIP, c.kind.reach(ctx, net.JoinHostPort(made.Spec.ClusterIP, strconv.Itoa(int(p.Port))))
		}
	}
	return made.Spec.ClusterIP, nil
}

// reach waits until every node can connect to an address.
func (k *Kind) reach(ctx context.Context, address string) error {
	group, ctx := errgroup.WithContext(ctx)
	for place, conn := range k.nodes {
		group.Go(func() error {
			err := k.eventually(ctx, reachLimit, func(ctx context.Context) (string, error) {
				_, err := netconf.Reach.Call(ctx, conn, address, nil)
				return "", err
			})
			if err != nil {
				return fmt.Errorf("%s does not reach %s: %w", place, address, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// RemoveService takes a Service away that AddService has added.
func (c *cluster) RemoveService(ctx context.Context, namespace, name string) error {
	foreign, err := c.objects.foreign(ctx, "Service", namespace, name)
	if err != nil || foreign {
		return err
	}
	c.mu.Lock()
	delete(c.given, key("Service", namespace, name))
	c.mu.Unlock()
	return errors.Join(c.objects.remove(ctx, "Service", namespace, name), c.Settle(ctx))
}

// CoreDNS starts a CoreDNS of relapse's own, and waits until it listens.
func (c *cluster) CoreDNS(ctx context.Context, place, name, corefile string) error {
	conn := c.Agent(place)
	if conn == nil {
		return fmt.Errorf("%s: there is no agent at this place", place)
	}
	path := "/tmp/" + name + "/Corefile" // in the agents' pod, with which it goes
	spec := program.Spec{Name: name, Argv: []string{"/relapse-coredns", "--conf", path}, Files: map[string]string{path: corefile}}
	if _, err := program.Start.Call(ctx, conn, spec, nil); err != nil {
		return err
	}
	_, err := program.Send.Call(ctx, conn, program.Input{Name: name, Expect: `"synced":0`}, nil)
	return err
}

// StopCoreDNS ends it.
func (c *cluster) StopCoreDNS(ctx context.Context, place, name string) error {
	conn := c.Agent(place)
	if conn == nil {
		return fmt.Errorf("%s: %w", place, agent.ErrGone)
	}
	_, err := program.Stop.Call(ctx, conn, name, nil)
	return err
}
