package load

import (
	"cmp"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	kfield "k8s.io/apimachinery/pkg/util/validation/field"
)

// checkExposure checks the fields of a Service that say who reaches it from where, and which endpoint answers.
func checkExposure(s *corev1.ServiceSpec) kfield.ErrorList {
	var errs kfield.ErrorList
	at := spec.Child
	balanced := s.Type == corev1.ServiceTypeLoadBalancer
	onNodes := balanced || s.Type == corev1.ServiceTypeNodePort
	if onNodes && s.ClusterIP == corev1.ClusterIPNone {
		errs = append(errs, kfield.Invalid(at("clusterIP"), s.ClusterIP, fmt.Sprintf("may not be None for a Service of type %s", s.Type)))
	}
	errs = append(errs, checkNodePorts(s.Ports, onNodes)...)
	for i, ip := range s.ExternalIPs {
		in := at("externalIPs").Index(i)
		errs = append(errs, validation.IsValidIP(in, ip)...)
		if a, err := netip.ParseAddr(ip); err == nil && (a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
			errs = append(errs, kfield.Invalid(in, ip, "may not be an unspecified, loopback or link-local address"))
		}
	}
	policies := []corev1.ServiceExternalTrafficPolicy{corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal}
	errs = append(errs, oneOf(at("externalTrafficPolicy"), s.ExternalTrafficPolicy, policies)...)
	if s.ExternalTrafficPolicy != "" && !onNodes && len(s.ExternalIPs) == 0 {
		errs = append(errs, kfield.Invalid(at("externalTrafficPolicy"), s.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	}
	if p := s.InternalTrafficPolicy; p != nil {
		errs = append(errs, oneOf(at("internalTrafficPolicy"), *p, []corev1.ServiceInternalTrafficPolicy{corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal})...)
	}
	if s.HealthCheckNodePort != 0 && !(balanced && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal) {
		errs = append(errs, kfield.Invalid(at("healthCheckNodePort"), s.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
	}
	if len(s.LoadBalancerSourceRanges) > 0 && !balanced {
		errs = append(errs, kfield.Forbidden(at("loadBalancerSourceRanges"), "may only be used when `type` is 'LoadBalancer'"))
	}
	for i, cidr := range s.LoadBalancerSourceRanges {
		errs = append(errs, validation.IsValidCIDR(at("loadBalancerSourceRanges").Index(i), cidr)...)
	}
	if s.AllocateLoadBalancerNodePorts != nil && !balanced {
		errs = append(errs, kfield.Forbidden(at("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'"))
	}
	if c := s.SessionAffinityConfig; c != nil {
		in := at("sessionAffinityConfig")
		if s.SessionAffinity != corev1.ServiceAffinityClientIP {
			errs = append(errs, kfield.Forbidden(in, "must not be set when session affinity is None"))
		} else if c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil && (*c.ClientIP.TimeoutSeconds < 1 || *c.ClientIP.TimeoutSeconds > 86400) {
			errs = append(errs, kfield.Invalid(in.Child("clientIP", "timeoutSeconds"), *c.ClientIP.TimeoutSeconds, "must be greater than 0 and less than 86400"))
		}
	}
	return errs
}

// checkNodePorts: the range is the API server's default.
func checkNodePorts(ports []corev1.ServicePort, allowed bool) kfield.ErrorList {
	var errs kfield.ErrorList
	taken := sets.New[string]()
	for i, p := range ports {
		at := spec.Child("ports").Index(i).Child("nodePort")
		if p.NodePort == 0 {
			continue
		}
		if !allowed {
			errs = append(errs, kfield.Forbidden(at, "may not be used when `type` is 'ClusterIP'"))
		} else if p.NodePort < 30000 || p.NodePort > 32767 {
			errs = append(errs, kfield.Invalid(at, p.NodePort, "provided port is not in the valid range. The range of valid ports is 30000-32767"))
		}
		number := fmt.Sprintf("%s %d", cmp.Or(p.Protocol, corev1.ProtocolTCP), p.NodePort)
		if taken.Has(number) {
			errs = append(errs, kfield.Duplicate(at, p.NodePort))
		}
		taken.Insert(number)
	}
	return errs
}
