package lab

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/lab/policy"
)

// workload is a list of objects, parsed: of a Deployment it has the Pods.
type workload struct {
	pods       []*corev1.Pod
	services   []*corev1.Service
	configMaps []*corev1.ConfigMap
	policies   []*networkingv1.NetworkPolicy
	namespaces []*corev1.Namespace
}

// parse reads objects that Check has found no fault with.
func parse(objects [][]byte) (workload, error) {
	var w workload
	for _, object := range objects {
		var head metav1.TypeMeta
		if err := json.Unmarshal(object, &head); err != nil {
			return w, err
		}
		var err error
		switch head.Kind {
		case "Pod":
			err = add(object, func(p *corev1.Pod) { w.pods = append(w.pods, p) })
		case "Deployment":
			err = add(object, func(d *appsv1.Deployment) { w.pods = append(w.pods, replicas(d)...) })
		case "ConfigMap":
			err = add(object, func(m *corev1.ConfigMap) { w.configMaps = append(w.configMaps, m) })
		case "Service":
			err = add(object, func(s *corev1.Service) { w.services = append(w.services, s) })
		case "NetworkPolicy":
			err = add(object, func(p *networkingv1.NetworkPolicy) { w.policies = append(w.policies, p) })
		case "Namespace":
			err = add(object, func(n *corev1.Namespace) { w.namespaces = append(w.namespaces, n) })
		default:
			err = fmt.Errorf("the lab has no objects of kind %s", head.Kind)
		}
		if err != nil {
			return w, err
		}
	}
	for _, p := range w.pods {
		namespaced(&p.ObjectMeta)
	}
	for _, s := range w.services {
		namespaced(&s.ObjectMeta)
	}
	for _, m := range w.configMaps {
		namespaced(&m.ObjectMeta)
	}
	for _, p := range w.policies {
		namespaced(&p.ObjectMeta)
	}
	return w, nil
}

func add[T any](object []byte, to func(*T)) error {
	into := new(T)
	if err := json.Unmarshal(object, into); err != nil {
		return err
	}
	to(into)
	return nil
}

func namespaced(meta *metav1.ObjectMeta) {
	if meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	}
}

// ownerLabel remembers the Deployment of a Pod.
const ownerLabel = "relapse.dev/deployment"

func replicas(d *appsv1.Deployment) []*corev1.Pod {
	count := int32(1)
	if d.Spec.Replicas != nil {
		count = *d.Spec.Replicas
	}
	var pods []*corev1.Pod
	for i := range count {
		pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
		pod.Name, pod.Namespace = fmt.Sprintf("%s-%d", d.Name, i), d.Namespace
		pod.Annotations = map[string]string{ownerLabel: d.Name}
		pods = append(pods, pod)
	}
	return pods
}

// check says what is wrong with the objects together.
func (w workload) check(nodes int) []error {
	var errs []error
	for _, pod := range w.pods {
		if pod.Spec.NodeName != "" && !slices.Contains(nodeNames(nodes), pod.Spec.NodeName) {
			errs = append(errs, fmt.Errorf("Pod %s: spec.nodeName: there is no %s among %v", pod.Name, pod.Spec.NodeName, nodeNames(nodes)))
		}
		for i, c := range pod.Spec.Containers {
			if err := checkImage(pod.Namespace, c); err != nil {
				errs = append(errs, fmt.Errorf("Pod %s: spec.containers[%d].%w", pod.Name, i, err))
			}
		}
		errs = append(errs, w.checkVolumes(pod)...)
	}
	for _, s := range w.services {
		if s.Spec.Type == corev1.ServiceTypeExternalName {
			errs = append(errs, fmt.Errorf("Service %s: spec.type: the lab has only ClusterIP, NodePort and LoadBalancer", s.Name))
		}
		if len(s.Spec.Selector) == 0 {
			errs = append(errs, fmt.Errorf("Service %s: spec.selector: the lab needs one", s.Name))
		}
	}
	for _, p := range w.policies {
		errs = append(errs, policy.Validate(p)...)
	}
	return append(errs, w.checkTogether()...)
}

func nodeNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("node-%d", i+1))
	}
	return names
}
