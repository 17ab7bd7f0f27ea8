package kind

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestEndpointsOfPodsAndSlices(t *testing.T) {
	g := NewWithT(t)
	pod := func(ip string, phase corev1.PodPhase, ready corev1.ConditionStatus) corev1.Pod {
		conditions := []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		return corev1.Pod{Status: corev1.PodStatus{PodIP: ip, Phase: phase, Conditions: conditions}}
	}
	leaving := pod("10.244.1.4", corev1.PodRunning, corev1.ConditionTrue)
	leaving.DeletionTimestamp = &metav1.Time{}
	pods := []corev1.Pod{
		pod("10.244.1.2", corev1.PodRunning, corev1.ConditionTrue), pod("10.244.1.3", corev1.PodRunning, corev1.ConditionFalse), leaving,
		pod("10.244.1.5", corev1.PodSucceeded, corev1.ConditionFalse), pod("", corev1.PodPending, corev1.ConditionFalse),
	}
	g.Expect(podEndpoints(pods, false)).To(Equal([]string{"10.244.1.2", "10.244.1.3 (not ready)", "10.244.1.4 (not ready)"}))
	g.Expect(podEndpoints(pods, true)).To(Equal([]string{"10.244.1.2", "10.244.1.3", "10.244.1.4"}))

	yes, no := true, false
	slice := func(family discoveryv1.AddressType, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
		return discoveryv1.EndpointSlice{AddressType: family, Endpoints: endpoints}
	}
	of := func(address string, ready *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ready}}
	}
	g.Expect(sliceEndpoints([]discoveryv1.EndpointSlice{
		slice(discoveryv1.AddressTypeIPv4, of("10.244.1.3", &no), of("10.244.1.2", &yes)), slice(discoveryv1.AddressTypeIPv4, of("10.244.1.2", nil)),
		slice(discoveryv1.AddressTypeIPv6, of("fd00::2", &yes)),
	})).To(Equal([]string{"10.244.1.2", "10.244.1.3 (not ready)"}))
	g.Expect(sliceEndpoints(nil)).To(Equal(podEndpoints(nil, false)))
}
