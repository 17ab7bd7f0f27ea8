// Package policy compiles Kubernetes' network policies into what each node has to enforce (package enforce). It is pure: objects
// in, rules out. The semantics are those of networking.k8s.io/v1. Source: Kubernetes k8s.io/api/networking/v1/types.go.
package policy

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
)

// Cluster is what policies are compiled against.
type Cluster struct {
	Policies []*networkingv1.NetworkPolicy
	// Pods with their node and address.
	Pods []*corev1.Pod
	// Namespaces that have labels of their own. All others have only the one that every namespace has.
	Namespaces []*corev1.Namespace
}

// Compile returns what each node enforces, by its name. A node that is not in it enforces nothing.
func Compile(c Cluster) (map[string]enforce.Ruleset, error) {
	nodes := map[string]enforce.Ruleset{}
	pods := slices.SortedFunc(slices.Values(c.Pods), func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, pod := range pods {
		for _, direction := range []string{enforce.Egress, enforce.Ingress} {
			isolated, err := c.isolate(pod, direction)
			if err != nil {
				return nil, err
			}
			if len(isolated.Policies) > 0 {
				node := nodes[pod.Spec.NodeName]
				node.Isolated = append(node.Isolated, isolated)
				nodes[pod.Spec.NodeName] = node
			}
		}
	}
	return nodes, nil
}

// isolate collects the policies that isolate a pod in a direction, and what they allow together: policies only ever add.
func (c Cluster) isolate(pod *corev1.Pod, direction string) (enforce.Isolated, error) {
	isolated := enforce.Isolated{Namespace: pod.Namespace, Pod: pod.Name, IP: pod.Status.PodIP, Direction: direction}
	for _, p := range c.Policies {
		selected, err := selects(&p.Spec.PodSelector, pod.Labels)
		if err != nil {
			return isolated, fmt.Errorf("NetworkPolicy %s: spec.podSelector: %w", p.Name, err)
		}
		if p.Namespace != pod.Namespace || !selected || !slices.Contains(types(p), direction) {
			continue
		}
		isolated.Policies = append(isolated.Policies, p.Namespace+"/"+p.Name)
		for i, r := range rules(p, direction) {
			allow, err := c.allow(p, r, pod, direction)
			if err != nil {
				return isolated, fmt.Errorf("NetworkPolicy %s: spec.%s[%d]: %w", p.Name, direction, i, err)
			}
			for _, a := range allow {
				if !slices.ContainsFunc(isolated.Allow, func(b enforce.Allow) bool { return reflect.DeepEqual(a, b) }) {
					isolated.Allow = append(isolated.Allow, a)
				}
			}
		}
	}
	slices.Sort(isolated.Policies)
	return isolated, nil
}

// types are the directions in which a policy isolates: if it does not say, ingress, and egress if it has rules for that.
func types(p *networkingv1.NetworkPolicy) []string {
	var directions []string
	for _, t := range p.Spec.PolicyTypes {
		directions = append(directions, map[networkingv1.PolicyType]string{
			networkingv1.PolicyTypeIngress: enforce.Ingress, networkingv1.PolicyTypeEgress: enforce.Egress,
		}[t])
	}
	if directions == nil {
		directions = []string{enforce.Ingress}
		if len(p.Spec.Egress) > 0 {
			directions = append(directions, enforce.Egress)
		}
	}
	return directions
}

// rule is one of a policy, of either direction.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func rules(p *networkingv1.NetworkPolicy, direction string) []rule {
	var all []rule
	if direction == enforce.Egress {
		for _, r := range p.Spec.Egress {
			all = append(all, rule{r.To, r.Ports})
		}
		return all
	}
	for _, r := range p.Spec.Ingress {
		all = append(all, rule{r.From, r.Ports})
	}
	return all
}

// peer is somebody at the other end: a network, or a pod, or (the zero value) anybody.
type peer struct {
	cidr   string
	except []string
	pod    *corev1.Pod
}

// allow is every peer with every port. Whose the named ports are depends on who is connected to: the pod itself, or the peer.
func (c Cluster) allow(p *networkingv1.NetworkPolicy, r rule, pod *corev1.Pod, direction string) ([]enforce.Allow, error) {
	peers, err := c.peers(p, r.peers)
	if err != nil {
		return nil, err
	}
	var all []enforce.Allow
	for _, port := range portsOrAny(r.ports) {
		if direction == enforce.Ingress {
			all = append(all, combine(peers, port, func(peer) *corev1.Pod { return pod })...)
			continue
		}
		to := peers
		if len(r.peers) == 0 && named(port) {
			to = c.everyPod() // only pods have named ports
		}
		all = append(all, combine(to, port, func(other peer) *corev1.Pod { return other.pod })...)
	}
	return all, nil
}

// portsOrAny stands a nil for any port of any protocol.
func portsOrAny(ports []networkingv1.NetworkPolicyPort) []*networkingv1.NetworkPolicyPort {
	if len(ports) == 0 {
		return []*networkingv1.NetworkPolicyPort{nil}
	}
	var all []*networkingv1.NetworkPolicyPort
	for i := range ports {
		all = append(all, &ports[i])
	}
	return all
}

func named(port *networkingv1.NetworkPolicyPort) bool {
	return port != nil && port.Port != nil && port.Port.Type == intstr.String
}

func combine(peers []peer, port *networkingv1.NetworkPolicyPort, server func(peer) *corev1.Pod) []enforce.Allow {
	var all []enforce.Allow
	for _, other := range peers {
		base := enforce.Allow{CIDR: other.cidr, Except: other.except}
		if port == nil {
			all = append(all, base)
			continue
		}
		base.Protocol = string(protocol(port.Protocol))
		switch {
		case port.Port == nil:
			all = append(all, base)
		case port.Port.Type == intstr.Int:
			base.From, base.To = uint16(port.Port.IntVal), uint16(port.Port.IntVal)
			if port.EndPort != nil {
				base.To = uint16(*port.EndPort)
			}
			all = append(all, base)
		default:
			for _, number := range containerPorts(server(other), port) {
				base.From, base.To = number, number
				all = append(all, base)
			}
		}
	}
	return all
}

// containerPorts are the numbers of a named port of a pod.
func containerPorts(pod *corev1.Pod, port *networkingv1.NetworkPolicyPort) []uint16 {
	if pod == nil {
		return nil
	}
	var numbers []uint16
	for _, container := range pod.Spec.Containers {
		for _, p := range container.Ports {
			if p.Name == port.Port.StrVal && protocol(&p.Protocol) == protocol(port.Protocol) {
				numbers = append(numbers, uint16(p.ContainerPort))
			}
		}
	}
	return numbers
}

func protocol(p *corev1.Protocol) corev1.Protocol {
	if p == nil || *p == "" {
		return corev1.ProtocolTCP
	}
	return *p
}

// peers resolves a list of peers; an empty list is anybody.
func (c Cluster) peers(p *networkingv1.NetworkPolicy, list []networkingv1.NetworkPolicyPeer) ([]peer, error) {
	if len(list) == 0 {
		return []peer{{}}, nil
	}
	var all []peer
	for _, one := range list {
		if one.IPBlock != nil {
			all = append(all, peer{cidr: one.IPBlock.CIDR, except: one.IPBlock.Except})
			continue
		}
		for _, other := range c.everyPod() {
			is, err := c.is(p, one, other.pod)
			if err != nil {
				return nil, err
			}
			if is {
				all = append(all, other)
			}
		}
	}
	return all, nil
}

// is whether a pod is a peer. Without a namespace selector it must be in the policy's own namespace; with both, both must fit.
func (c Cluster) is(p *networkingv1.NetworkPolicy, one networkingv1.NetworkPolicyPeer, pod *corev1.Pod) (bool, error) {
	inside := pod.Namespace == p.Namespace
	if one.NamespaceSelector != nil {
		var err error
		if inside, err = selects(one.NamespaceSelector, c.namespaceLabels(pod.Namespace)); err != nil {
			return false, fmt.Errorf("namespaceSelector: %w", err)
		}
	}
	if !inside || one.PodSelector == nil {
		return inside, nil
	}
	selected, err := selects(one.PodSelector, pod.Labels)
	if err != nil {
		return false, fmt.Errorf("podSelector: %w", err)
	}
	return selected, nil
}

func (c Cluster) everyPod() []peer {
	var all []peer
	for _, pod := range c.Pods {
		all = append(all, peer{cidr: pod.Status.PodIP + "/32", pod: pod})
	}
	return all
}

// namespaceLabels are a namespace's labels with the one that the API server gives to each.
func (c Cluster) namespaceLabels(name string) map[string]string {
	all := map[string]string{}
	for _, n := range c.Namespaces {
		if n.Name == name {
			maps.Copy(all, n.Labels)
		}
	}
	all[corev1.LabelMetadataName] = name
	return all
}

func selects(selector *metav1.LabelSelector, of map[string]string) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return s.Matches(labels.Set(of)), nil
}
