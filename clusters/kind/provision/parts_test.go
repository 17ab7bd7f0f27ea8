package provision

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
)

func TestKindConfig(t *testing.T) {
	g := NewWithT(t)
	m := &maker{Cluster: &Cluster{Spec: Spec{Name: "relapse-x", Nodes: 3, Proxy: "nftables", Image: "node:1"}}, version: "v1.36.3", cgroups: "1"}
	config := m.kindConfig()
	g.Expect(config.Nodes).To(HaveExactElements(
		v1alpha4.Node{Role: "control-plane", Image: "node:1"}, v1alpha4.Node{Role: "worker", Image: "node:1"}, v1alpha4.Node{Role: "worker", Image: "node:1"}))
	g.Expect(config.Networking).To(Equal(v1alpha4.Networking{
		IPFamily: "ipv4", PodSubnet: "10.244.0.0/16", ServiceSubnet: "10.96.0.0/16", APIServerAddress: "127.0.0.1", APIServerPort: -1,
		DisableDefaultCNI: true, KubeProxyMode: "nftables",
	}))
	g.Expect(config.KubeadmConfigPatches).To(Equal([]string{
		"kind: KubeletConfiguration\nfailCgroupV1: false\ncrashLoopBackOff: {maxContainerRestartPeriod: 1s}\n",
		proxyPatch,
		"kind: InitConfiguration\nnodeRegistration: {taints: []}\n",
	}))
	m.Spec.Nodes, m.Spec.Stay, m.plugin, m.version, m.cgroups = 1, true, cni.Plugins["kindnet"], "v1.33.0-beta.1", "2"
	config = m.kindConfig()
	g.Expect(config.Networking.DisableDefaultCNI).To(BeFalse())
	g.Expect(config.Networking.APIServerPort).To(BeZero(), "the engine would choose another port at each start")
	g.Expect(config.KubeadmConfigPatches).To(Equal([]string{
		"kind: KubeletConfiguration\ncrashLoopBackOff: {maxContainerRestartPeriod: 1s}\nfeatureGates: {KubeletCrashLoopBackOffMax: true}\n",
		proxyPatch,
	}), "kind takes the taint away itself")
	m.version = "v1.30.4"
	g.Expect(m.patches()).To(Equal([]string{"kind: KubeletConfiguration\n", proxyPatch}))
}

// TestWrapper runs the engine's client as kind finds it.
func TestWrapper(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "docker")
	g.Expect(os.WriteFile(program, []byte("#!/bin/sh\necho \"$DOCKER_CONFIG|$HTTP_PROXY|$*\"\n"), 0o755)).To(Succeed())
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONFIG", "/my config")
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:3128")
	m := &maker{Cluster: &Cluster{Network: "relapse-x", instance: "12345678", engine: containers.Engine{Program: "docker"}}}
	inside := t.TempDir()
	release, err := m.setEnvironment(inside)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Getenv("DOCKER_CONFIG")).To(Equal(inside), "kind takes proxies from there too")
	g.Expect(os.Getenv(networkEnv)).To(Equal("relapse-x"))
	out, err := exec.Command("docker", "run", "--name", "a b", "image").Output()
	g.Expect(string(out), err).To(Equal("/my config||run --label relapse.dev/instance=12345678 --dns 203.0.113.53 --dns-search . " +
		"--env HTTP_PROXY= --env HTTPS_PROXY= --env NO_PROXY= --env http_proxy= --env https_proxy= --env no_proxy= --name a b image\n"))
	out, err = exec.Command("docker", "ps", "-a").Output()
	g.Expect(string(out), err).To(Equal("/my config||ps -a\n"))
	release()
	release()
	out, err = exec.Command("docker", "run").Output()
	g.Expect(string(out), err).To(Equal("/my config|http://192.0.2.1:3128|run\n"))
	g.Expect(os.Getenv(networkEnv)).To(BeEmpty())
	m.Spec.AllowEgress = true
	g.Expect(m.wrapper(program)).NotTo(ContainSubstring("--dns"))
}

func TestLogger(t *testing.T) {
	g := NewWithT(t)
	var log bytes.Buffer
	var said []string
	l := &logger{w: &log, status: func(text string) { said = append(said, text) }}
	l.V(0).Infof(" • %s  ...\n", "Preparing nodes 📦 📦 ")
	l.V(0).Infof(" ✓ %s\n", "Preparing nodes 📦 📦 ")
	l.V(3).Info("kubeadm's output")
	l.V(6).Info("too much")
	l.Warnf("%d dragons", 2)
	g.Expect(said).To(Equal([]string{"Preparing nodes"}))
	g.Expect(log.String()).To(Equal(" • Preparing nodes 📦 📦   ...\n ✓ Preparing nodes 📦 📦 \nkubeadm's output\nwarning: 2 dragons\n"))
}

func TestArchives(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	write := func(name, member, text string, compressed bool) string {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		g.Expect(w.WriteHeader(&tar.Header{Name: member, Mode: 0o644, Size: int64(len(text))})).To(Succeed())
		_, err := w.Write([]byte(text))
		g.Expect(errors.Join(err, w.Close())).To(Succeed())
		data := out.Bytes()
		if compressed {
			var zipped bytes.Buffer
			z := gzip.NewWriter(&zipped)
			_, err := z.Write(data)
			g.Expect(errors.Join(err, z.Close())).To(Succeed())
			data = zipped.Bytes()
		}
		path := filepath.Join(dir, name)
		g.Expect(os.WriteFile(path, data, 0o644)).To(Succeed())
		return path
	}
	_, err := Archives(dir)
	g.Expect(err).To(MatchError(ContainSubstring("has no image archives")))
	saved := write("saved.tar", "manifest.json", `[{"RepoTags": ["calico/node:v3", "calico/cni:v3"]}, {"RepoTags": null}]`, false)
	layout := write("layout.tar.gz", "./index.json", `{"manifests": [{"annotations":
		{"org.opencontainers.image.ref.name": "v1", "io.containerd.image.name": "docker.io/kindest/node:v1.37.0"}}, {}]}`, true)
	write("notes.txt", "notes", "", false)
	g.Expect(imagesIn(saved)).To(Equal([]string{"calico/node:v3", "calico/cni:v3"}))
	g.Expect(imagesIn(layout)).To(Equal([]string{"docker.io/kindest/node:v1.37.0"}))
	found, err := Archives(dir)
	g.Expect(found, err).To(ConsistOf(saved, layout))
	forEngine, forNodes, err := sortArchives(found, "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(forEngine).To(Equal([]string{layout}))
	g.Expect(forNodes).To(Equal([]string{saved}))
	forEngine, _, err = sortArchives(found, "kindest/node:v1.37.0@sha256:12")
	g.Expect(forEngine, err).To(Equal([]string{layout}))
	_, _, err = sortArchives([]string{write("other.tar", "readme", "", false)}, "")
	g.Expect(err).To(MatchError(ContainSubstring("other.tar: not an image archive")))
}

func TestRank(t *testing.T) {
	g := NewWithT(t)
	for container, want := range map[string]int{"relapse-x-worker": 1, "relapse-x-worker2": 2, "relapse-x-worker8": 8} {
		g.Expect(rank(Node{Container: container, Role: "worker"}, "relapse-x")).To(Equal(want))
	}
	g.Expect(rank(Node{Container: "relapse-x-control-plane", Role: "control-plane"}, "relapse-x")).To(BeNumerically(">", 9))
}

func readyNode(name string, ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: ready, Reason: "KubeletNotReady", Message: "cni plugin not initialized"}}}}
}

func TestWhatIsMissing(t *testing.T) {
	g := NewWithT(t)
	two := int32(2)
	coredns := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Spec: appsv1.DeploymentSpec{Replicas: &two}}
	proxy := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy"}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns-1", Labels: map[string]string{"k8s-app": "kube-dns"}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name:  "coredns",
			Image: "registry.k8s.io/coredns:v9",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "refused"}},
		}}},
	}
	cluster := func(nodeTool string, objects ...runtime.Object) *Cluster {
		return &Cluster{
			Spec: Spec{Proxy: "nftables", CNI: "plain"}, Nodes: []Node{{Container: "a"}}, Client: fake.NewClientset(objects...),
			engine: containers.Engine{Program: nodeTool},
		}
	}
	missing := func(c *Cluster) string {
		text, err := c.missing(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		return text
	}
	g.Expect(missing(cluster("false"))).To(Equal("0 of 1 nodes have joined"))
	g.Expect(missing(cluster("false", readyNode("a", "False")))).To(Equal("node a: Ready is False: KubeletNotReady: cni plugin not initialized"))
	c := cluster("false", readyNode("a", "True"), coredns, pod)
	g.Expect(missing(c)).To(Equal("0 of 2 pods of CoreDNS are available: pod coredns-1: container coredns is waiting: ErrImagePull: refused"))
	g.Expect(c.missingImages(t.Context())).To(Equal([]string{"registry.k8s.io/coredns:v9"}))
	coredns.Status = appsv1.DeploymentStatus{AvailableReplicas: 2, UpdatedReplicas: 2}
	g.Expect(missing(cluster("false", readyNode("a", "True"), coredns, proxy))).To(Equal("kube-proxy is ready on 0 of 1 nodes"))
	proxy.Status.NumberReady = 1
	g.Expect(missing(cluster("false", readyNode("a", "True"), coredns, proxy))).To(Equal("node a has no CNI configuration: "))
	g.Expect(missing(cluster("true", readyNode("a", "True"), coredns, proxy))).To(ContainSubstring("has not written its rules for kube-system/kube-dns:dns on node a"))
	rules := filepath.Join(t.TempDir(), "docker")
	g.Expect(os.WriteFile(rules, []byte("#!/bin/sh\necho '10.96.0.10 . udp . 53 : goto x'\n"), 0o755)).To(Succeed())
	g.Expect(missing(cluster(rules, readyNode("a", "True"), coredns, proxy))).To(BeEmpty())
	g.Expect(apiService.in("elements = { 10.96.0.10 . tcp . 53 }\n-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp\n")).To(BeTrue())
	g.Expect(apiService.in("elements = { 10.96.0.10 . tcp . 53 }\n")).To(BeFalse())
}

func TestWaitFor(t *testing.T) {
	f := newFake(t)
	g := f.g
	engine, err := containers.Find(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	c := &Cluster{Spec: Spec{Name: "relapse-a"}, engine: engine}
	f.cluster("relapse-a", "1", nil)
	looks := 0
	err = c.WaitFor(t.Context(), 700*time.Millisecond, func(context.Context) (string, error) {
		looks++
		if looks == 1 {
			return "", errors.New("refused")
		}
		return "two nodes", nil
	})
	g.Expect(err).To(MatchError("timed out after 700ms; last seen: two nodes"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("ended by signal: interrupt"))
	err = c.WaitFor(ctx, time.Minute, func(context.Context) (string, error) { return "a node", nil })
	g.Expect(err).To(MatchError("ended by signal: interrupt; last seen: a node"))
	err = c.WaitFor(t.Context(), time.Minute, func(context.Context) (string, error) { return "", await.Stop(errors.New("no image")) })
	g.Expect(err).To(MatchError("no image"))
	f.write("state-of-relapse-a-control-plane", "exited")
	err = c.WaitFor(t.Context(), time.Minute, func(context.Context) (string, error) { return "two nodes", nil })
	g.Expect(err).To(MatchError(And(ContainSubstring("node relapse-a-control-plane has ended"), ContainSubstring("last seen: two nodes"))))
}
