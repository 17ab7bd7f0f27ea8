package kind

import (
	"encoding/json"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

// given makes an object of JSON, so that tests read like workloads.
func given(kind, name, spec string) []byte {
	return []byte(`{"apiVersion":"v1","kind":"` + kind + `","metadata":{"name":"` + name + `"},"spec":` + spec + `}`)
}

func TestKindsThatDoNotGoWithAWorkload(t *testing.T) {
	g := NewWithT(t)
	g.Expect(checkKinds([][]byte{given("Pod", "a", "{}"), given("NetworkPolicy", "b", "{}")})).To(BeEmpty())
	g.Expect(checkKinds([][]byte{given("DaemonSet", "c", "{}")})).To(ConsistOf(MatchError(ContainSubstring("DaemonSet c: a workload has objects of kinds Deployment, Pod"))))
}

func TestPodsGoToTheScenariosNodes(t *testing.T) {
	g := NewWithT(t)
	nodes := []provision.Node{{Name: "node-1", Container: "x-worker"}, {Name: "node-2", Container: "x-control-plane"}}
	p := &preparer{run: "r1", nodes: nodes}
	on := func(spec corev1.PodSpec) string {
		t.Helper()
		g.Expect(p.place("web", &spec, true)).To(Succeed())
		g.Expect(spec.NodeName).To(BeEmpty(), "the scheduler does it")
		return spec.NodeSelector[corev1.LabelHostname]
	}
	g.Expect(on(corev1.PodSpec{})).To(Equal("x-worker"))
	g.Expect(on(corev1.PodSpec{NodeName: "node-1"})).To(Equal("x-worker"))
	g.Expect(on(corev1.PodSpec{})).To(Equal("x-control-plane"), "in turn")
	g.Expect(p.place("web", &corev1.PodSpec{NodeName: "node-9"}, true)).To(MatchError("web: spec.nodeName: unknown node node-9: must be one of node-1, node-2"))

	var several corev1.PodSpec
	g.Expect(p.place("web", &several, false)).To(Succeed())
	terms := several.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	g.Expect(terms[0].MatchExpressions[0].Values).To(Equal([]string{"x-worker", "x-control-plane"}))

	text, err := p.prepare(given("Service", "web", "{}"))
	g.Expect(err).NotTo(HaveOccurred())
	var service corev1.Service
	g.Expect(json.Unmarshal(text, &service)).To(Succeed())
	g.Expect(service.Labels).To(HaveKeyWithValue(runLabel, "r1"))
}

func TestTwoOfOneName(t *testing.T) {
	g := NewWithT(t)
	p := &preparer{owners: map[string]string{}}
	g.Expect(p.own("Pod", "", "web")).To(Succeed())
	g.Expect(p.own("Pod", "default", "web")).To(Succeed(), "it is replaced")
	g.Expect(p.own("Pod", "team", "web")).To(MatchError(ContainSubstring("Pod team/web: Pod default/web has the same name: names of Pods and Deployments must be unique")))
	g.Expect(p.own("Deployment", "", "web")).NotTo(Succeed())
}

func TestServicesComeBeforePods(t *testing.T) {
	var kinds []string
	for _, text := range sorted([][]byte{given("Pod", "a", "{}"), given("Service", "b", "{}"), given("Namespace", "c", "{}")}) {
		var head struct{ Kind string }
		NewWithT(t).Expect(json.Unmarshal(text, &head)).To(Succeed())
		kinds = append(kinds, head.Kind)
	}
	NewWithT(t).Expect(kinds).To(Equal([]string{"Namespace", "Service", "Pod"}))
}

func TestWhenKubeProxyHasSynchronized(t *testing.T) {
	g := NewWithT(t)
	const before, since = "# HELP kubeproxy_sync_proxy_rules_last_timestamp_seconds\n", "kubeproxy_sync_proxy_rules_last_timestamp_seconds"
	g.Expect(lastSync(before + since + ` 1.5e+09` + "\n")).To(Equal(1.5e9))
	g.Expect(lastSync(before + since + `{ip_family="IPv6"} 1.7e+09` + "\n" + since + `{ip_family="IPv4"} 1.6e+09` + "\n")).To(Equal(1.6e9))
	_, err := lastSync(before + since + `{ip_family="IPv6"} 1.7e+09` + "\n")
	g.Expect(err).To(HaveOccurred(), "a kube-proxy that does not say is not one that has")
}

func TestTheOutsidesAddress(t *testing.T) {
	g := NewWithT(t)
	g.Expect(gateway(netip.MustParsePrefix("172.18.0.0/16")).String()).To(Equal("172.18.255.254"))
	g.Expect(gateway(netip.MustParsePrefix("10.1.2.128/25")).String()).To(Equal("10.1.2.254"))
}
