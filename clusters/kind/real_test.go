package kind

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	registry "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/kind/provision/kindtest"
	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/local"
)

// programs is the folder of relapse's own.
func programs(t *testing.T) string {
	t.Helper()
	bin, err := local.FindPrograms("the test", "relapse-agent", "relapse-coredns")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return bin
}

func TestWorkloadsOnACluster(t *testing.T) {
	kindtest.Cluster(t, "relapse-provider", 1, programs)
	k := New(Options{Bin: programs(t), Cluster: "provider", Logs: t.TempDir()})
	g := NewWithT(t)
	ctx := t.Context()
	g.Expect(k.Open(ctx)).To(Succeed())
	t.Cleanup(func() { _ = k.Close(ctx) })
	_, err := provision.Claim("relapse-provider")
	g.Expect(err).To(MatchError(ContainSubstring("used by another run")))

	spec := clusters.Spec{Run: "r1", Nodes: 1, Proxy: "nftables", Logs: t.TempDir(), Workload: [][]byte{
		given("Pod", "web", `{"containers":[{"name":"main","image":"relapse","args":["pause"]}]}`),
		given("Service", "web", `{"selector":{"app":"web"},"ports":[{"port":80}]}`),
	}}
	left := func() []string {
		t.Helper()
		all, _, err := k.leftOn(ctx, "provider")
		g.Expect(err).NotTo(HaveOccurred())
		return all
	}
	configMaps := k.cluster.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem)

	t.Run("the cluster's own objects stay its own", func(t *testing.T) {
		g := NewWithT(t)
		before, err := configMaps.Get(ctx, "coredns", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		c, err := k.Create(ctx, spec)
		g.Expect(err).NotTo(HaveOccurred())
		former, err := c.Object(ctx, "ConfigMap", metav1.NamespaceSystem, "coredns")
		g.Expect(string(former), err).To(ContainSubstring("Corefile"))
		other := strings.Replace(string(former), "cache 30", "cache 29", 1)
		g.Expect(other).NotTo(Equal(string(former)))
		const notKept = "ConfigMap kube-system/coredns belongs to the cluster and was not kept before this change"
		g.Expect(c.Apply(ctx, []byte(other))).To(MatchError(notKept))
		g.Expect(c.Delete(ctx, "ConfigMap", metav1.NamespaceSystem, "coredns")).To(MatchError(notKept))
		restore, err := c.Keep(ctx, "ConfigMap", metav1.NamespaceSystem, "coredns")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.Apply(ctx, []byte(other))).To(Succeed())
		changed, err := configMaps.Get(ctx, "coredns", metav1.GetOptions{})
		g.Expect(changed.Data["Corefile"], err).To(ContainSubstring("cache 29"))
		g.Expect(left()).To(ContainElement("a change of ConfigMap kube-system/coredns"))
		g.Expect(restore(ctx)).To(Succeed())
		restored, err := configMaps.Get(ctx, "coredns", metav1.GetOptions{})
		g.Expect(restored.Data, err).To(Equal(before.Data))
		g.Expect(c.Delete(ctx, "ConfigMap", metav1.NamespaceSystem, "coredns")).To(Succeed())
		g.Expect(restore(ctx)).To(Succeed())
		restored, err = configMaps.Get(ctx, "coredns", metav1.GetOptions{})
		g.Expect(restored.Data, err).To(Equal(before.Data))
		g.Expect(restored.Labels).NotTo(HaveKey(kubeobjects.RunLabel), "it is the cluster's own")
		g.Expect(c.Apply(ctx, []byte(other))).To(Succeed(), "and it is never undone")
		remove, err := c.Keep(ctx, "Service", metav1.NamespaceDefault, "added")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.Apply(ctx, given("Service", "added", `{"ports":[{"port":80}]}`))).To(Succeed())
		added, err := c.Object(ctx, "Service", metav1.NamespaceDefault, "added")
		g.Expect(string(added), err).To(ContainSubstring(`"clusterIP":"10.`))
		g.Expect(remove(ctx)).To(Succeed())
		g.Expect(c.Object(ctx, "Service", metav1.NamespaceDefault, "added")).To(BeNil())
		g.Expect(c.Close(ctx)).To(Succeed())
		after, err := configMaps.Get(ctx, "coredns", metav1.GetOptions{})
		g.Expect(after.Data, err).To(Equal(before.Data))
		g.Expect(left()).To(Equal([]string{"the agents"}))
		g.Expect(k.spoilt()).To(BeEmpty())
	})

	t.Run("objects that the lab does not have", func(t *testing.T) {
		g := NewWithT(t)
		image := otherImage(t, k)
		server := func(port string) string {
			return `"containers":[{"name":"main","image":"` + image + `","args":["server",":` + port + `"],"readinessProbe":{"tcpSocket":{"port":` + port + `},"periodSeconds":1}}]`
		}
		set := func(port string) []byte {
			return []byte(`{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"},"spec":{"replicas":2,"serviceName":"db",
				"selector":{"matchLabels":{"app":"db"}},"template":{"metadata":{"labels":{"app":"db"}},"spec":{` + server(port) + `}}}}`)
		}
		many := spec
		many.Workload = [][]byte{
			[]byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"one"},"spec":{"size":3}}`),
			[]byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},"spec":{
				"group":"example.com","scope":"Namespaced","names":{"kind":"Widget","plural":"widgets","singular":"widget"},"versions":[{"name":"v1",
				"served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`),
			set("8080"),
			[]byte(`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"each"},"spec":{"selector":{"matchLabels":{"app":"each"}},
				"template":{"metadata":{"labels":{"app":"each"}},"spec":{` + server("8080") + `}}}}`),
			[]byte(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"once"},"spec":{"template":{"spec":{"restartPolicy":"Never",
				"containers":[{"name":"main","image":"` + image + `","command":["cat","/etc/hosts"]}]}}}}`),
		}
		g.Expect(k.Check(many.Workload)).To(BeEmpty())
		c, err := k.Create(ctx, many)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.Places()).To(ContainElements("pod/db-0", "pod/db-1"))
		g.Expect(c.Resolve("pod/each")).To(HaveLen(1))
		widget, err := c.Object(ctx, "Widget", "", "one")
		g.Expect(string(widget), err).To(ContainSubstring(`"size":3`))
		g.Expect(left()).To(ConsistOf("StatefulSet default/db", "DaemonSet default/each", "Job default/once", "Widget default/one",
			"CustomResourceDefinition widgets.example.com", "the agents"))
		g.Expect(c.Apply(ctx, set("8081"))).To(Succeed(), "a rollout")
		first, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, "db-0", metav1.GetOptions{})
		g.Expect(first.Spec.Containers[0].Args, err).To(Equal([]string{"server", ":8081"}))
		g.Expect(readers.ReadNetns.Call(ctx, c.Agent("pod/db-0"), agent.None{}, nil)).NotTo(BeZero(), "its place has a new agent")
		g.Expect(c.Close(ctx)).To(Succeed())
		g.Expect(left()).To(Equal([]string{"the agents"}))
		g.Expect(k.spoilt()).To(BeEmpty())
	})

	t.Run("a workload that collides", func(t *testing.T) {
		g := NewWithT(t)
		colliding := spec
		colliding.Workload = append(slices.Clip(spec.Workload), given("Service", "kubernetes", `{"ports":[{"port":80}]}`))
		_, err := k.Create(ctx, colliding)
		g.Expect(err).To(MatchError(ContainSubstring("Service kubernetes already exists on the cluster and does not belong to a workload")))
		g.Expect(left()).To(Equal([]string{"the agents"}))
		g.Expect(k.spoilt()).To(BeEmpty())
	})

	t.Run("interrupted", func(t *testing.T) {
		g := NewWithT(t)
		c, err := k.Create(ctx, spec)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(left()).To(ContainElement("Pod default/web"))
		c.Interrupt()
		g.Eventually(c.Agent("pod/web").Gone()).WithTimeout(limits.Pods).Should(BeClosed())
		g.Expect(c.Apply(ctx, given("Service", "web", `{"ports":[{"port":81}]}`))).To(Succeed(), "what is undone without agents still can be")
		g.Expect(c.Close(ctx)).To(Succeed())
		g.Expect(c.Close(ctx)).To(Succeed())
		g.Expect(left()).To(Equal([]string{"the agents"}))
		g.Expect(k.spoilt()).To(BeEmpty())
	})

	t.Run("a run that died", func(t *testing.T) {
		g := NewWithT(t)
		c, err := k.Create(ctx, spec)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = c.Keep(ctx, "ConfigMap", metav1.NamespaceSystem, "coredns")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.Delete(ctx, "ConfigMap", metav1.NamespaceSystem, "coredns")).To(Succeed())
		c.Interrupt()
		var said strings.Builder
		g.Expect(sweepStaying(ctx, "provider", &said, false)).To(BeEmpty())
		g.Expect(said.String()).To(BeEmpty(), "it is in use")
		g.Expect(k.claim.Close()).To(Succeed())
		g.Expect(sweepStaying(ctx, "provider", &said, false)).To(BeEmpty())
		g.Expect(said.String()).To(BeEmpty(), "whoever has no claim to see finds that this process lives")
		dead, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{"relapse.dev/owner": nil}}})
		g.Expect(err).NotTo(HaveOccurred())
		_, err = k.cluster.Client.CoreV1().Namespaces().Patch(ctx, agents.Namespace, types.MergePatchType, dead, metav1.PatchOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		const all = "Pod default/web, Service default/web, a change of ConfigMap kube-system/coredns, the agents from cluster provider, of a run that died"
		g.Expect(sweepStaying(ctx, "provider", &said, true)).To(Equal(all))
		g.Expect(sweepStaying(ctx, "provider", &said, false)).To(Equal(all))
		g.Expect(said.String()).To(Equal("would remove " + all + "\nremoved " + all + "\n"))
		g.Expect(left()).To(BeEmpty())
		_, err = configMaps.Get(ctx, "coredns", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred(), "it is there again")
	})
}

// otherImage brings an image to the nodes that relapse knows nothing about. It is the agent's by another name.
func otherImage(t *testing.T, k *Kind) string {
	t.Helper()
	g := NewWithT(t)
	own, other := filepath.Join(t.TempDir(), "own.tar"), filepath.Join(t.TempDir(), "other.tar")
	g.Expect(k.image.Save(own)).To(Succeed())
	image, err := tarball.ImageFromPath(own, nil)
	g.Expect(err).NotTo(HaveOccurred())
	tag, err := registry.NewTag("registry.example.com/team/server:1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(tarball.WriteToFile(other, tag, image)).To(Succeed())
	g.Expect(k.cluster.Load(t.Context(), other)).To(Succeed())
	return tag.String()
}
