package state

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// setDefaults fills in what an API server fills in before any component sees an object, as far as kube-proxy and CoreDNS
// read it. Without it they silently ignore, for example, an EndpointSlice port that has no name.
func setDefaults(st *State) {
	for _, service := range st.Services {
		defaultNamespace(service)
		defaultService(service)
	}
	for _, slice := range st.EndpointSlices {
		defaultNamespace(slice)
		defaultEndpointSlice(slice)
	}
	for _, pod := range st.Pods {
		defaultNamespace(pod)
	}
}

func defaultNamespace(object Object) {
	if object.GetNamespace() == "" {
		object.SetNamespace(corev1.NamespaceDefault)
	}
}

func defaultService(service *corev1.Service) {
	spec := &service.Spec
	setIfZero(&spec.Type, corev1.ServiceTypeClusterIP)
	setIfZero(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	if spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		if spec.SessionAffinityConfig == nil {
			spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{}
		}
		setIfNil(&spec.SessionAffinityConfig.ClientIP, corev1.ClientIPConfig{})
		setIfNil(&spec.SessionAffinityConfig.ClientIP.TimeoutSeconds, corev1.DefaultClientIPServiceAffinitySeconds)
	}
	for i := range spec.Ports {
		setIfZero(&spec.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	if spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	setIfNil(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	if spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer {
		setIfZero(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if len(spec.ClusterIPs) == 0 && spec.ClusterIP != "" {
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
	if spec.ClusterIP == "" && len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = families(spec.ClusterIPs)
	}
}

// families of the addresses; a headless Service, which has none, is IPv4 as the lab is.
func families(addresses []string) []corev1.IPFamily {
	var out []corev1.IPFamily
	for _, address := range addresses {
		family := corev1.IPv4Protocol
		if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
			family = corev1.IPv6Protocol
		}
		out = append(out, family)
	}
	return out
}

func defaultEndpointSlice(slice *discoveryv1.EndpointSlice) {
	setIfZero(&slice.AddressType, discoveryv1.AddressTypeIPv4)
	for i := range slice.Ports {
		setIfNil(&slice.Ports[i].Name, "")
		setIfNil(&slice.Ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func setIfZero[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func setIfNil[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
