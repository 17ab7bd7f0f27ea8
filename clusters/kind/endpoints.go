package kind

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// selected waits until the EndpointSlices of a Service have the pods that it selects. Kubernetes writes them after the Service, and a
// kube-proxy may synchronize in between.
func (c *cluster) selected(ctx context.Context, service *unstructured.Unstructured) error {
	selector, _, err := unstructured.NestedStringMap(service.Object, "spec", "selector")
	if err != nil || len(selector) == 0 {
		return err
	}
	publish, _, err := unstructured.NestedBool(service.Object, "spec", "publishNotReadyAddresses")
	if err != nil {
		return err
	}
	namespace, name := c.local(service.GetNamespace()), service.GetName()
	client := c.kind.cluster.Client
	return c.kind.cluster.WaitFor(ctx, limits.ProxySync, func(ctx context.Context) (string, error) {
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.FormatLabels(selector)})
		if err != nil {
			return "", err
		}
		found, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
		if err != nil {
			return "", err
		}
		want, have := podEndpoints(pods.Items, publish), sliceEndpoints(found.Items)
		if !slices.Equal(want, have) {
			return fmt.Sprintf("the EndpointSlices of Service %s have %q, and its pods are %q", name, have, want), nil
		}
		return "", nil
	})
}

// endpoint is a pod's address, and whether it is ready.
func endpoint(address string, ready bool) string {
	if ready {
		return address
	}
	return address + " (not ready)"
}

// podEndpoints are those that a Service should have; publish makes pods that are not ready count as ready.
func podEndpoints(pods []corev1.Pod, publish bool) []string {
	var all []string
	for _, pod := range pods {
		if pod.Status.PodIP != "" && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			all = append(all, endpoint(pod.Status.PodIP, publish || kubestatus.NotReady(pod) == ""))
		}
	}
	slices.Sort(all)
	return all
}

func sliceEndpoints(list []discoveryv1.EndpointSlice) []string {
	var all []string
	for _, slice := range list {
		if slice.AddressType != discoveryv1.AddressTypeIPv4 {
			continue
		}
		for _, e := range slice.Endpoints {
			for _, address := range e.Addresses {
				all = append(all, endpoint(address, e.Conditions.Ready == nil || *e.Conditions.Ready))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all) // a pod is in one slice for each set of ports
}
