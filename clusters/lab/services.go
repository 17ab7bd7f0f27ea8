package lab

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// state is what kube-proxy and CoreDNS are told: one line of JSON, always the whole. The components' module reads it.
type state struct {
	Revision       int64                        `json:"revision"`
	Services       []*corev1.Service            `json:"services"`
	EndpointSlices []*discoveryv1.EndpointSlice `json:"endpointSlices"`
	Namespaces     []*corev1.Namespace          `json:"namespaces"`
	Pods           []*corev1.Pod                `json:"pods"`
}

// endpoints computes the EndpointSlice of a Service, as the endpoint slice controller does.
func endpoints(s *corev1.Service, pods []*corev1.Pod) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Name + "-lab", Namespace: s.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: s.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		slice.Labels[corev1.IsHeadlessService] = ""
	}
	selector := labels.SelectorFromSet(s.Spec.Selector)
	var backends []*corev1.Pod
	for _, pod := range pods {
		if pod.Namespace == s.Namespace && len(s.Spec.Selector) > 0 && selector.Matches(labels.Set(pod.Labels)) {
			backends = append(backends, pod)
		}
	}
	ready := true
	for _, pod := range backends {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{pod.Status.PodIP}, NodeName: &pod.Spec.NodeName,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace},
		})
	}
	for _, port := range s.Spec.Ports {
		number, ok := targetPort(port, backends)
		if !ok {
			continue
		}
		protocol := port.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &port.Name, Protocol: &protocol, Port: &number})
	}
	return slice
}

// targetPort finds the number of a Service's target port: its own, that of a named container port, or the Service's.
func targetPort(port corev1.ServicePort, pods []*corev1.Pod) (int32, bool) {
	switch {
	case port.TargetPort == intstr.IntOrString{}:
		return port.Port, true
	case port.TargetPort.Type == intstr.Int:
		return port.TargetPort.IntVal, true
	}
	for _, pod := range pods {
		for _, c := range pod.Spec.Containers {
			i := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.TargetPort.StrVal })
			if i >= 0 {
				return c.Ports[i].ContainerPort, true
			}
		}
	}
	return 0, false
}
