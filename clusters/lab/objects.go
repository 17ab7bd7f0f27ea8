package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// object names one of the cluster's objects.
type object struct{ kind, namespace, name string }

func (o object) String() string {
	if o.namespace == "" {
		return o.kind + " " + o.name
	}
	return o.kind + " " + o.namespace + "/" + o.name
}

// identify fills in the namespace: none for a Namespace, default if none is given.
func identify(kind, namespace, name string) object {
	switch {
	case kind == "Namespace":
		namespace = ""
	case namespace == "":
		namespace = metav1.NamespaceDefault
	}
	return object{kind, namespace, name}
}

func identifyText(text []byte) (object, error) {
	var head struct {
		metav1.TypeMeta
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	err := json.Unmarshal(text, &head)
	return identify(head.Kind, head.Metadata.Namespace, head.Metadata.Name), err
}

// replaceableKinds can be applied and deleted while a cluster runs: those that need no namespace made or moved.
var replaceableKinds = []string{"NetworkPolicy", "Service", "Namespace"}

// replaceable is whether an object is of these kinds, or the one with CoreDNS's Corefile, which CoreDNS reads when it is started anew.
func replaceable(o object) bool {
	return slices.Contains(replaceableKinds, o.kind) || o == corednsConfig
}

// keep remembers an object as it was given.
func (c *cluster) keep(text []byte) {
	if o, err := identifyText(text); err == nil && replaceable(o) {
		c.given[o] = text
	}
}

// Object returns an object as it was given, a Service with the address that the lab has given it.
func (c *cluster) Object(_ context.Context, kind, namespace, name string) ([]byte, error) {
	o := identify(kind, namespace, name)
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.work.services, func(s *corev1.Service) bool { return o == identify("Service", s.Namespace, s.Name) })
	if i < 0 || c.given[o] == nil {
		return c.given[o], nil
	}
	var service map[string]any
	if err := json.Unmarshal(c.given[o], &service); err != nil {
		return nil, err
	}
	if spec, ok := service["spec"].(map[string]any); ok {
		spec["clusterIP"] = c.work.services[i].Spec.ClusterIP
	}
	return json.Marshal(service)
}

// Keep remembers an object as it was given.
func (c *cluster) Keep(_ context.Context, kind, namespace, name string) (func(context.Context) error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	former, ok := c.given[identify(kind, namespace, name)]
	return func(ctx context.Context) error {
		if ok {
			return c.Apply(ctx, former)
		}
		return c.Delete(ctx, kind, namespace, name)
	}, nil
}

// Apply creates or replaces an object.
func (c *cluster) Apply(ctx context.Context, text []byte) error {
	o, err := identifyText(text)
	if err != nil {
		return err
	}
	if !replaceable(o) {
		return fmt.Errorf("%s: the lab applies only objects of kinds %v and %s while it runs", o, replaceableKinds, corednsConfig)
	}
	if errs := c.lab.Check([][]byte{text}); len(errs) > 0 {
		return errors.Join(errs...)
	}
	add, err := parse([][]byte{text})
	if err != nil {
		return err
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	if err := c.swap(o, add); err != nil {
		return err
	}
	c.mu.Lock()
	c.keep(text)
	c.mu.Unlock()
	return c.act(ctx, o.kind)
}

// Delete deletes an object. A Namespace must be empty, because the lab does not delete what is in it.
func (c *cluster) Delete(ctx context.Context, kind, namespace, name string) error {
	o := identify(kind, namespace, name)
	if !slices.Contains(replaceableKinds, kind) {
		return fmt.Errorf("%s: the lab deletes only objects of kinds %v while it runs", o, replaceableKinds)
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	c.mu.Lock()
	_, there := c.given[o]
	c.mu.Unlock()
	if !there {
		return nil
	}
	if kind == "Namespace" && slices.ContainsFunc(c.work.pods, func(p *corev1.Pod) bool { return p.Namespace == name }) {
		return fmt.Errorf("%s: it has pods, and the lab does not end them", o)
	}
	if err := c.swap(o, workload{}); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.given, o)
	c.mu.Unlock()
	return c.act(ctx, kind)
}

// swap replaces the object of this name in the workload by what is in add. A Service keeps its addresses.
func (c *cluster) swap(o object, add workload) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	is := func(kind string, meta *metav1.ObjectMeta) bool { return identify(kind, meta.Namespace, meta.Name) == o }
	c.work.policies = append(without(c.work.policies, func(p *networkingv1.NetworkPolicy) bool { return is("NetworkPolicy", &p.ObjectMeta) }), add.policies...)
	c.work.namespaces = append(without(c.work.namespaces, func(n *corev1.Namespace) bool { return is("Namespace", &n.ObjectMeta) }), add.namespaces...)
	c.work.configMaps = append(without(c.work.configMaps, func(m *corev1.ConfigMap) bool { return is("ConfigMap", &m.ObjectMeta) }), add.configMaps...)
	old := slices.IndexFunc(c.work.services, func(s *corev1.Service) bool { return is("Service", &s.ObjectMeta) })
	used := maps.Clone(c.addresses.used)
	if old >= 0 {
		c.addresses.free(c.work.services[old])
	}
	for _, s := range add.services {
		if old >= 0 {
			keepFrom(c.work.services[old], s)
		}
		if err := c.addresses.assign(s); err != nil {
			c.addresses.used = used
			return err
		}
	}
	c.work.services = append(without(c.work.services, func(s *corev1.Service) bool { return is("Service", &s.ObjectMeta) }), add.services...)
	return nil
}

// without leaves the list as it is, which somebody may be reading.
func without[T any](list []*T, is func(*T) bool) []*T {
	return slices.DeleteFunc(slices.Clone(list), is)
}

// act tells the programs that use objects of a kind, and returns when they act on it.
func (c *cluster) act(ctx context.Context, kind string) error {
	switch kind {
	case "NetworkPolicy":
		return c.enforce(ctx)
	case "Service":
		return c.tell(ctx)
	case "ConfigMap":
		return nil // the program reads it at its next start
	}
	return errors.Join(c.enforce(ctx), c.tell(ctx))
}
