package lab

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// serviceAddresses gives out ClusterIPs and node ports as the API server does, and addresses of load balancers as a cloud does: those asked
// for, and free ones.
type serviceAddresses struct{ used map[string]bool }

// The node ports of an API server with its defaults; those below firstFreeNodePort stay for those who ask.
// Source: Kubernetes pkg/registry/core/service/portallocator/allocator.go (calculateOffset).
const (
	firstNodePort     = 30000
	firstFreeNodePort = 30086
	lastNodePort      = 32767
)

// assign gives a Service what it needs, or nothing and says why.
func (a *serviceAddresses) assign(s *corev1.Service) error {
	if a.used == nil {
		a.used = map[string]bool{}
	}
	before := maps.Clone(a.used)
	if err := a.assignAll(s); err != nil {
		a.used = before
		return fmt.Errorf("Service %s: %w", s.Name, err)
	}
	return nil
}

func (a *serviceAddresses) assignAll(s *corev1.Service) (err error) {
	spec := &s.Spec
	if spec.ClusterIP == corev1.ClusterIPNone {
		return nil
	}
	// From 10.96.1.0 on, so that the first 255 stay for those who ask, like kube-dns.
	if spec.ClusterIP, err = a.address("spec.clusterIP", spec.ClusterIP, serviceCIDR, netip.MustParseAddr("10.96.1.1")); err != nil {
		return err
	}
	spec.ClusterIPs = []string{spec.ClusterIP}
	balanced := spec.Type == corev1.ServiceTypeLoadBalancer
	for i := range spec.Ports {
		port := &spec.Ports[i]
		if spec.Type != corev1.ServiceTypeNodePort && !(balanced && (spec.AllocateLoadBalancerNodePorts == nil || *spec.AllocateLoadBalancerNodePorts)) && port.NodePort == 0 {
			continue
		}
		protocol := string(cmp.Or(port.Protocol, corev1.ProtocolTCP))
		if port.NodePort, err = a.nodePort(fmt.Sprintf("spec.ports[%d].nodePort", i), protocol, port.NodePort); err != nil {
			return err
		}
	}
	if !balanced {
		return nil
	}
	if spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		if spec.HealthCheckNodePort, err = a.nodePort("spec.healthCheckNodePort", "TCP", spec.HealthCheckNodePort); err != nil {
			return err
		}
	}
	ip, err := a.address("spec.loadBalancerIP", spec.LoadBalancerIP, externalCIDR, externalCIDR.Addr().Next())
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	return err
}

// address takes the one that is asked for, or the next free one.
func (a *serviceAddresses) address(field, asked string, of netip.Prefix, first netip.Addr) (string, error) {
	if asked != "" {
		if parsed, err := netip.ParseAddr(asked); err != nil || !of.Contains(parsed) {
			return "", fmt.Errorf("%s: %s is not in %s", field, asked, of)
		}
		return asked, a.take(field, asked)
	}
	next := first
	for a.used[next.String()] {
		next = next.Next()
	}
	return next.String(), a.take(field, next.String())
}

func (a *serviceAddresses) nodePort(field, protocol string, asked int32) (int32, error) {
	called := func(port int32) string { return fmt.Sprintf("%s node port %d", protocol, port) }
	if asked != 0 {
		if asked < firstNodePort || asked > lastNodePort {
			return 0, fmt.Errorf("%s: %d is not in %d-%d", field, asked, firstNodePort, lastNodePort)
		}
		return asked, a.take(field, called(asked))
	}
	for next := int32(firstFreeNodePort); next <= lastNodePort; next++ {
		if !a.used[called(next)] {
			return next, a.take(field, called(next))
		}
	}
	return 0, fmt.Errorf("%s: all node ports are taken", field)
}

func (a *serviceAddresses) take(field, what string) error {
	if a.used[what] {
		return fmt.Errorf("%s: %s is taken", field, what)
	}
	a.used[what] = true
	return nil
}

// free gives back what a Service had been given.
func (a *serviceAddresses) free(s *corev1.Service) {
	for _, ip := range append(slices.Clone(s.Spec.ClusterIPs), ingress(s)...) {
		delete(a.used, ip)
	}
	for _, port := range s.Spec.Ports {
		delete(a.used, fmt.Sprintf("%s node port %d", cmp.Or(port.Protocol, corev1.ProtocolTCP), port.NodePort))
	}
	delete(a.used, fmt.Sprintf("TCP node port %d", s.Spec.HealthCheckNodePort))
}

func ingress(s *corev1.Service) []string {
	var ips []string
	for _, i := range s.Status.LoadBalancer.Ingress {
		ips = append(ips, i.IP)
	}
	return ips
}

// keepFrom gives a Service what the one that it replaces had been given, as the API server does.
func keepFrom(old, s *corev1.Service) {
	s.Spec.ClusterIP = cmp.Or(s.Spec.ClusterIP, old.Spec.ClusterIP)
	if s.Spec.Type == "" || s.Spec.Type == corev1.ServiceTypeClusterIP {
		return
	}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		for _, was := range old.Spec.Ports {
			if was.Port == port.Port && cmp.Or(was.Protocol, corev1.ProtocolTCP) == cmp.Or(port.Protocol, corev1.ProtocolTCP) {
				port.NodePort = cmp.Or(port.NodePort, was.NodePort)
			}
		}
	}
	if was := ingress(old); len(was) > 0 {
		s.Spec.LoadBalancerIP = cmp.Or(s.Spec.LoadBalancerIP, was[0])
	}
}
