package kind

import (
	"encoding/json"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/relapse-k8s/relapse/clusters/kind/provision"

	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
)

// given makes an object of JSON, so that tests read like workloads.
func given(kind, name, spec string) []byte {
	return []byte(`{"apiVersion":"v1","kind":"` + kind + `","metadata":{"name":"` + name + `"},"spec":` + spec + `}`)
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

	asked := corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}}, {},
		}},
	}}}
	g.Expect(p.place("web", &asked, false)).To(Succeed())
	terms = asked.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	g.Expect(terms[0].MatchExpressions).To(HaveLen(2), "it keeps what it asks for")
	g.Expect(terms[1].MatchExpressions).To(HaveLen(1))

	text, err := p.prepare(given("Service", "web", "{}"))
	g.Expect(err).NotTo(HaveOccurred())
	var service corev1.Service
	g.Expect(json.Unmarshal(text, &service)).To(Succeed())
	g.Expect(service.Labels).To(HaveKeyWithValue(kubeobjects.RunLabel, "r1"))
}

func TestTwoOfOneName(t *testing.T) {
	g := NewWithT(t)
	p := &preparer{owners: map[string]string{}}
	g.Expect(p.own("Pod", "", "web")).To(Succeed())
	g.Expect(p.own("Pod", "default", "web")).To(Succeed(), "it is replaced")
	g.Expect(p.own("Pod", "team", "web")).To(MatchError(ContainSubstring("Pod team/web: Pod default/web has the same name: names of what has pods must be unique")))
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
	g.Expect(gateway(netip.MustParsePrefix("172.18.0.0/16"), 0).String()).To(Equal("172.18.255.254"))
	g.Expect(gateway(netip.MustParsePrefix("10.1.2.128/25"), 0).String()).To(Equal("10.1.2.254"))
}

func TestWhatHasPodsIsPrepared(t *testing.T) {
	g := NewWithT(t)
	p := &preparer{run: "r1", nodes: []provision.Node{{Name: "node-1", Container: "x-worker"}}, images: map[string]string{}, owners: map[string]string{}}
	prepare := func(text string) *unstructured.Unstructured {
		t.Helper()
		prepared, err := p.prepare([]byte(text))
		g.Expect(err).NotTo(HaveOccurred())
		object := &unstructured.Unstructured{}
		g.Expect(json.Unmarshal(prepared, object)).To(Succeed())
		return object
	}
	field := func(object *unstructured.Unstructured, path ...string) any {
		t.Helper()
		value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
		g.Expect(found, err).To(BeTrue(), "%v", path)
		return value
	}
	const pods = `"spec":{"enableServiceLinks":true,"containers":[{"name":"db","image":"postgres:17","resources":{"limits":{"memory":"64Mi"}},"readinessProbe":{"tcpSocket":{"port":5432}}}]}`
	set := prepare(`{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"},"spec":{"replicas":2,"serviceName":"db",
		"selector":{"matchLabels":{"app":"db"}},"template":{"metadata":{"labels":{"app":"db"}},` + pods + `},"volumeClaimTemplates":[{"metadata":{"name":"data"},"spec":{}}]}}`)
	g.Expect(set.GetLabels()).To(HaveKeyWithValue(kubeobjects.RunLabel, "r1"))
	g.Expect(field(set, "spec", "template", "metadata", "labels")).To(Equal(map[string]any{"app": "db", kubeobjects.RunLabel: "r1", ownerLabel: "db"}))
	g.Expect(field(set, "spec", "serviceName")).To(Equal("db"))
	g.Expect(field(set, "spec", "template", "spec", "enableServiceLinks")).To(Equal(true), "it asks for them")
	g.Expect(field(set, "spec", "template", "spec", "automountServiceAccountToken")).To(Equal(false))
	container := field(set, "spec", "template", "spec", "containers").([]any)[0]
	g.Expect(container).To(And(HaveKeyWithValue("image", "postgres:17"), HaveKey("readinessProbe"), HaveKey("resources"), HaveKeyWithValue("imagePullPolicy", "IfNotPresent")))
	claim := field(set, "spec", "volumeClaimTemplates").([]any)[0].(map[string]any)
	g.Expect(claim["metadata"]).To(HaveKeyWithValue("labels", map[string]any{kubeobjects.RunLabel: "r1"}))

	jobs := prepare(`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"jobs"},"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":{` + pods + `}}}}}`)
	g.Expect(field(jobs, "spec", "jobTemplate", "metadata", "labels")).To(Equal(map[string]any{kubeobjects.RunLabel: "r1"}))
	g.Expect(field(jobs, "spec", "jobTemplate", "spec", "template", "metadata", "labels")).To(Equal(map[string]any{kubeobjects.RunLabel: "r1", ownerLabel: "jobs"}))

	_, err := p.prepare([]byte(`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d"},"spec":{"template":{"spec":{"contaners":[]}}}}`))
	g.Expect(err).To(MatchError(And(ContainSubstring("DaemonSet d: spec.template.spec: "), ContainSubstring(`unknown field "contaners"`))))
}

func TestHowManyPodsAnObjectWants(t *testing.T) {
	g := NewWithT(t)
	of := func(text string) want {
		object := &unstructured.Unstructured{}
		g.Expect(json.Unmarshal([]byte(text), object)).To(Succeed())
		return wants(object)
	}
	g.Expect(of(`{"kind":"Pod","metadata":{"name":"a"}}`)).To(Equal(want{pods: 1}))
	const head = `{"kind":"Deployment","metadata":{"name":"a","generation":2},"spec":{"replicas":3},"status":`
	g.Expect(of(head + `{"observedGeneration":1,"updatedReplicas":3}}`).missing).To(Equal("Deployment a: its controller has not seen it yet"))
	g.Expect(of(head + `{"observedGeneration":2,"updatedReplicas":1}}`).missing).To(Equal("Deployment a: 1 of 3 pods are of its newest version"))
	g.Expect(of(head + `{"observedGeneration":2,"updatedReplicas":3}}`)).To(Equal(want{pods: 3}))
	g.Expect(of(`{"kind":"DaemonSet","metadata":{"generation":1},"status":{"observedGeneration":1,"desiredNumberScheduled":2,"updatedNumberScheduled":2}}`)).To(Equal(want{pods: 2}))
	g.Expect(of(`{"kind":"Job","spec":{"parallelism":4,"completions":2}}`)).To(Equal(want{pods: 2, ends: true}))
	g.Expect(of(`{"kind":"Job","spec":{}}`)).To(Equal(want{pods: 1, ends: true}))
	g.Expect(of(`{"kind":"CronJob","spec":{}}`)).To(Equal(want{ends: true}))
}

func TestALineOfALogWithItsTime(t *testing.T) {
	g := NewWithT(t)
	at, line, ok := logged("2026-11-21T07:30:10.734567891Z a line")
	g.Expect(ok).To(BeTrue())
	g.Expect(line).To(Equal("a line"))
	g.Expect(at.Nanosecond()).To(Equal(734567891))
	_, _, ok = logged("unable to retrieve container logs")
	g.Expect(ok).To(BeFalse())
}
