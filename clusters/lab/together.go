package lab

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxPods is how many pods a node has addresses for, beside the cluster's own.
const maxPods = 200

// checkTogether says what objects take from each other: names and addresses.
func (w workload) checkTogether() []error {
	if len(w.pods) > maxPods {
		return []error{fmt.Errorf("the workload has %d pods: the lab has at most %d", len(w.pods), maxPods)}
	}
	var errs []error
	var names []string
	for _, p := range w.pods {
		name := p.Namespace + "/" + p.Name
		if slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("Pod %s: metadata.name: there is another pod %s", p.Name, name))
		}
		names = append(names, name)
	}
	taken := serviceAddresses{used: map[string]bool{clusterDNS: true}}
	for _, s := range w.services {
		own := s.Namespace == metav1.NamespaceSystem && s.Spec.ClusterIP == clusterDNS
		if own {
			continue
		}
		if err := taken.assign(s.DeepCopy()); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
