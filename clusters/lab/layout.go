package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// Layout says what a lab would be made of, a line for each part, and makes nothing.
func (l *Lab) Layout(spec clusters.Spec) ([]string, error) {
	if errs := l.Check(spec.Workload); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	work, err := parse(append(slices.Clone(system), spec.Workload...))
	if err != nil {
		return nil, err
	}
	c := &cluster{lab: l, spec: spec, work: work}
	if err := c.place(); err != nil {
		return nil, err
	}
	var lines []string
	for i, name := range nodeNames(spec.Nodes) {
		lines = append(lines, fmt.Sprintf("node %s, %s: kube-proxy in %s mode; pods have %s, by %s", name, nodeIP(i), spec.Proxy, nodePods(i), spec.PodNetwork))
	}
	lines = append(lines, fmt.Sprintf("outside, %s: a host beyond the cluster, with a DNS server", outside.Host))
	for _, p := range c.work.pods {
		var programs []string
		for _, container := range p.Spec.Containers {
			programs = append(programs, strings.Join(append([]string{container.Image}, container.Args...), " "))
		}
		lines = append(lines, fmt.Sprintf("pod %s on %s, %s: %s", named(p.ObjectMeta), p.Spec.NodeName, p.Status.PodIP, strings.Join(programs, ", ")))
	}
	for _, s := range c.work.services {
		lines = append(lines, fmt.Sprintf("Service %s, %s: %s", named(s.ObjectMeta), s.Spec.ClusterIP, ports(s)))
	}
	return lines, nil
}

// named leaves out the namespace if it is the default one.
func named(meta metav1.ObjectMeta) string {
	if meta.Namespace == metav1.NamespaceDefault {
		return meta.Name
	}
	return meta.Namespace + "/" + meta.Name
}

func ports(s *corev1.Service) string {
	var list []string
	for _, p := range s.Spec.Ports {
		protocol := p.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		list = append(list, fmt.Sprintf("%s %d", protocol, p.Port))
	}
	return strings.Join(list, ", ")
}
