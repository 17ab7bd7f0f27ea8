package agents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/provision/kindtest"
)

const patience = 90 * time.Second

// realCluster is the cluster to test on.
type realCluster struct {
	t          *testing.T
	config     *rest.Config
	client     kubernetes.Interface
	kubeconfig string
	nodes      []string
	image      *agents.Image
}

func newRealCluster(t *testing.T) *realCluster {
	t.Helper()
	made := kindtest.Cluster(t, "relapse-agents", 2, bin)
	g := NewWithT(t)
	kubeconfig, err := made.Kubeconfig(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	c := &realCluster{t: t, config: made.Config, client: made.Client, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), image: build(t)}
	g.Expect(os.WriteFile(c.kubeconfig, []byte(kubeconfig), 0o600)).To(Succeed())
	for _, node := range made.Nodes {
		c.nodes = append(c.nodes, node.Container)
	}
	slices.Sort(c.nodes) // the control plane comes first
	archive := filepath.Join(t.TempDir(), "agent.tar")
	begin := time.Now()
	g.Expect(c.image.Save(archive)).To(Succeed())
	info, err := os.Stat(archive)
	g.Expect(err).NotTo(HaveOccurred())
	t.Logf("image %s: %.1f MB, saved in %s; it has %v", c.image.Ref(), float64(info.Size())/1e6, since(begin), c.image.Programs())
	begin = time.Now()
	var all sync.WaitGroup
	for _, node := range c.nodes {
		all.Go(func() {
			file, err := os.Open(archive)
			if err != nil {
				t.Error(err)
				return
			}
			defer file.Close()
			load := exec.Command("docker", "exec", "-i", node, "ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "--digests", "--snapshotter=overlayfs", "-")
			load.Stdin = file
			if output, err := load.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", node, err, output)
			}
		})
	}
	all.Wait()
	t.Logf("loaded into %d nodes in %s", len(c.nodes), since(begin))
	return c
}

// in is the cluster in a subtest.
func (c *realCluster) in(t *testing.T) *realCluster {
	sub := *c
	sub.t = t
	return &sub
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

// must runs a command.
func (c *realCluster) must(words ...string) string {
	c.t.Helper()
	output, err := exec.CommandContext(c.t.Context(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %v: %s", words, err, output)
	}
	return string(output)
}

// on runs a command on a node.
func (c *realCluster) on(node string, words ...string) string {
	c.t.Helper()
	return c.must(append([]string{"docker", "exec", node}, words...)...)
}

// run makes a pod in the agent's image and returns it when it runs.
func (c *realCluster) run(pod *corev1.Pod) *corev1.Pod {
	c.t.Helper()
	g := NewWithT(c.t)
	pod.Spec.TerminationGracePeriodSeconds = new(int64(1))
	pod.Spec.NodeName = c.nodes[len(c.nodes)-1]
	g.Expect(c.image.Contain(&pod.Spec)).To(Succeed())
	pods := c.client.CoreV1().Pods("default")
	_, err := pods.Create(c.t.Context(), pod, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	c.t.Cleanup(func() {
		g.Expect(pods.Delete(context.Background(), pod.Name, metav1.DeleteOptions{})).To(Succeed())
	})
	var now *corev1.Pod
	g.Eventually(func() corev1.PodPhase {
		now, err = pods.Get(c.t.Context(), pod.Name, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		return now.Status.Phase
	}, patience).Should(Equal(corev1.PodRunning))
	return now
}

func containerID(pod *corev1.Pod) string { return pod.Status.ContainerStatuses[0].ContainerID }

// dial starts an agent of a pod, or of a node where pod is nil.
func (c *realCluster) dial(pod *corev1.Pod) (*agent.Conn, error) {
	if pod == nil {
		return agents.Dial(c.t.Context(), c.config, c.client, c.nodes[0], "node/node-1", io.Discard, "node", "20261121-000000-abcd", "node/node-1")
	}
	place := "pod/" + pod.Name
	return agents.Dial(c.t.Context(), c.config, c.client, pod.Spec.NodeName, place, io.Discard, "pod", containerID(pod), "20261121-000000-abcd", place)
}

func (c *realCluster) agent(pod *corev1.Pod) *agent.Conn {
	c.t.Helper()
	conn, err := c.dial(pod)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		conn.Close()
		select {
		case <-conn.Gone():
		case <-time.After(patience):
			c.t.Errorf("%s: its stream does not end", conn.Name())
		}
	})
	return conn
}

func (c *realCluster) apply(conn *agent.Conn, name, config string) error {
	_, err := changes.Apply.Call(c.t.Context(), conn, changes.Request{
		ID: name, Name: name, Config: json.RawMessage(config), Run: "20261121-000000-abcd", Place: conn.Name(),
	}, nil)
	return err
}

// says is what a documented command says at an agent.
func says(t *testing.T, conn *agent.Conn, command string) func() (string, error) {
	return func() (string, error) {
		return readers.RunCommand.Call(t.Context(), conn, strings.Fields(command), nil)
	}
}

// attempt makes one attempt of a probe.
func attempt(t *testing.T, conn *agent.Conn, name, config string) func() (string, error) {
	return func() (string, error) {
		open := probes.Opening{ID: name, Name: name, Config: json.RawMessage(config)}
		if _, err := probes.OpenProbe.Call(t.Context(), conn, open, nil); err != nil {
			return "", err
		}
		var got probes.Sample
		sampling := probes.Sampling{ID: name, Attempts: 1, Every: time.Second, Timeout: 20 * time.Second}
		_, err := probes.SampleProbe.Call(t.Context(), conn, sampling, func(s probes.Sample) { got = s })
		if err == nil && got.Error != "" {
			err = fmt.Errorf("attempt: %s", got.Error)
		}
		return got.Seen, err
	}
}

const nginxConf = `user root;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr error;
events {}
http { access_log off; server { listen 8000; location / { include /run/proxy/answer.conf; } } }
`

func TestOnARealCluster(t *testing.T) {
	c := newRealCluster(t)
	g := NewWithT(t)
	begin := time.Now()
	g.Expect(agents.Install(t.Context(), c.client, c.image.Ref(), map[string]string{"x": "1"}, func(text string) { t.Log(text) })).To(Succeed())
	t.Logf("installed on %d nodes in %s", len(c.nodes), since(begin))
	begin = time.Now()
	g.Expect(agents.Install(t.Context(), c.client, c.image.Ref(), map[string]string{"x": "1"}, nil)).To(Succeed())
	t.Logf("installed again in %s", since(begin))

	client := c.run(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "client"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: "relapse", Args: []string{"pause"}}},
	}})
	watcher := c.agent(client)
	t.Run("dial", func(t *testing.T) { c.in(t).measureDial(client) })
	t.Run("lookup", func(t *testing.T) {
		g := NewWithT(t)
		g.Eventually(attempt(t, watcher, "lookup", `{"name": "kubernetes.default"}`), patience).Should(Equal("10.96.0.1"))
		g.Expect(attempt(t, watcher, "lookup", `{"name": "client"}`)()).To(Equal(client.Status.PodIP)) // by the pod's /etc/hosts
	})
	t.Run("changes", func(t *testing.T) { c.in(t).tryChanges(client, watcher) })
	t.Run("node", func(t *testing.T) { c.in(t).tryNode() })
	t.Run("spdy", func(t *testing.T) { c.in(t).trySPDY(client) })
	t.Run("killed agent", func(t *testing.T) { c.in(t).killAgent(client, watcher) })
	t.Run("killed harness", func(t *testing.T) { c.in(t).killHarness(client, watcher) })
	t.Run("restart", func(t *testing.T) { c.in(t).tryRestart(watcher) })
	t.Run("killed keep", func(t *testing.T) { c.in(t).killKeep(client) })

	_, err := agents.Dial(t.Context(), c.config, c.client, c.nodes[0], "pod/nobody", nil, "pod", strings.Repeat("0", 64), "20261121-000000-abcd", "pod/nobody")
	g.Expect(err).To(MatchError(And(ContainSubstring("pod/nobody: agent on node "+c.nodes[0]), ContainSubstring("exit code 1"), ContainSubstring("file does not exist among"))))
	begin = time.Now()
	g.Expect(agents.Uninstall(t.Context(), c.client)).To(Succeed())
	g.Expect(agents.Uninstall(t.Context(), c.client)).To(Succeed())
	t.Logf("gone in %s", since(begin))
}

// measureDial says how long it takes, one by one and many at once in one pod.
func (c *realCluster) measureDial(pod *corev1.Pod) {
	t := c.t
	g := NewWithT(t)
	const many = 20
	var took []time.Duration
	for range many {
		begin := time.Now()
		conn, err := c.dial(pod)
		g.Expect(err).NotTo(HaveOccurred())
		took = append(took, since(begin))
		conn.Close()
		<-conn.Gone()
	}
	slices.Sort(took)
	t.Logf("dial of a pod's agent: %s to %s, median %s", took[0], took[many-1], took[many/2])
	conns := make([]*agent.Conn, many)
	errs := make([]error, many)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() { conns[i], errs[i] = c.dial(pod) })
	}
	all.Wait()
	t.Logf("%d at once: %s", many, since(begin))
	g.Expect(errs).To(HaveEach(BeNil()))
	begin = time.Now()
	const calls = 100
	for range calls {
		_, err := agent.Hello.Call(t.Context(), conns[0], agent.None{}, nil)
		g.Expect(err).NotTo(HaveOccurred())
	}
	t.Logf("a request and its answer: %s", (time.Since(begin) / calls).Round(time.Microsecond))
	begin = time.Now()
	for _, conn := range conns {
		conn.Close()
	}
	for _, conn := range conns {
		<-conn.Gone()
	}
	t.Logf("%d ended: %s", many, since(begin))
}

func (c *realCluster) tryChanges(pod *corev1.Pod, watcher *agent.Conn) {
	t := c.t
	g := NewWithT(t)
	ruleset, err := says(t, watcher, "nft list ruleset")()
	g.Expect(err).NotTo(HaveOccurred())
	resolv, err := says(t, watcher, "cat /etc/resolv.conf")()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(resolv).To(ContainSubstring("ndots:5"))
	state := func() fingerprint.Fingerprint {
		f, err := readers.TakeFingerprint.Call(t.Context(), watcher, fingerprint.Options{}, nil)
		g.Expect(err).NotTo(HaveOccurred())
		return f
	}
	before := state()
	conn := c.agent(pod)
	g.Expect(c.apply(conn, "sysctl", `{"key": "net.ipv4.conf.all.log_martians", "value": "1"}`)).To(Succeed())
	g.Expect(c.apply(conn, "packets", `{"at": "input", "state": "invalid", "drop": "100%"}`)).To(Succeed())
	g.Expect(fingerprint.Diff(before, state())).To(HaveLen(2))
	g.Expect(c.apply(conn, "dns-config", `{"options": ["ndots:2", "single-request-reopen"]}`)).To(Succeed())
	g.Expect(c.apply(conn, "hold-fin", `{"port": 8080, "maxHold": "1s"}`)).To(Succeed())
	g.Expect(says(t, watcher, "sysctl net.ipv4.conf.all.log_martians")()).To(HaveSuffix("= 1\n"))
	g.Expect(says(t, watcher, "nft list ruleset")()).To(ContainSubstring("ct state invalid"))
	// As the pod's own program sees it.
	id := strings.TrimPrefix(containerID(pod), "containerd://")
	g.Expect(c.on(pod.Spec.NodeName, "crictl", "exec", id, "cat", "/etc/resolv.conf")).To(ContainSubstring("ndots:2"))
	for _, command := range []string{"conntrack -S", "conntrack -C", "iptables-save -c", "ip route", "ip -s link", "ss -s"} {
		g.Expect(says(t, conn, command)()).NotTo(ContainSubstring("("+command+": "), command) // no error
	}
	begin := time.Now()
	conn.Close()
	<-conn.Gone()
	t.Logf("undone and ended in %s", since(begin))
	g.Expect(fingerprint.Diff(before, state())).To(BeEmpty())
	g.Expect(says(t, watcher, "sysctl net.ipv4.conf.all.log_martians")()).To(HaveSuffix("= 0\n"))
	g.Expect(says(t, watcher, "nft list ruleset")()).To(Equal(ruleset))
	g.Expect(c.on(pod.Spec.NodeName, "crictl", "exec", id, "cat", "/etc/resolv.conf")).To(Equal(resolv))
}

func (c *realCluster) tryNode() {
	t := c.t
	g := NewWithT(t)
	conn := c.agent(nil)
	g.Expect(says(t, conn, "ip route")()).To(ContainSubstring("default via"))
	const key = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
	before := c.on(c.nodes[0], "sysctl", "-n", key)
	g.Expect(c.apply(conn, "sysctl", `{"key": "`+key+`", "value": "77"}`)).To(Succeed())
	g.Expect(c.on(c.nodes[0], "sysctl", "-n", key)).To(Equal("77\n"))
	// What listens on a port below 1024, and what sees packets.
	g.Expect(program.Start.Call(t.Context(), conn, program.Spec{
		Name: "dns", Argv: []string{"/relapse-coredns", "--conf", "/run/relapse/dns/Corefile"},
		Files: map[string]string{"/run/relapse/dns/Corefile": strings.Replace(corefile, "{\n", "{\n    bind 127.0.0.99\n", 1)},
	}, nil)).Error().NotTo(HaveOccurred())
	g.Expect(program.Send.Call(t.Context(), conn, program.Input{Name: "dns", Expect: `"synced":0`}, nil)).Error().NotTo(HaveOccurred())
	seen, stop := context.WithCancel(t.Context())
	g.Expect(readers.Capture.Call(seen, conn, readers.Capturing{Link: "eth0", Snap: 100, Most: 10}, func(readers.Packet) { stop() })).To(BeNumerically(">", 0))
	g.Expect(c.apply(conn, "conntrack-occupy", `{"leave": 200000}`)).To(Succeed())
	g.Expect(c.apply(conn, "conntrack-max", `{"value": 100000}`)).NotTo(Succeed())
	conn.Close()
	<-conn.Gone()
	g.Expect(c.on(c.nodes[0], "sysctl", "-n", key)).To(Equal(before))
}

// trySPDY dials through a proxy that knows nothing of WebSocket.
func (c *realCluster) trySPDY(pod *corev1.Pod) {
	g := NewWithT(c.t)
	one := rest.CopyConfig(c.config)
	one.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrades
	transport, err := rest.TransportFor(one)
	g.Expect(err).NotTo(HaveOccurred())
	target, err := url.Parse(c.config.Host)
	g.Expect(err).NotTo(HaveOccurred())
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.Transport = transport
	var upgrades sync.Map
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrades.Store(strings.ToLower(r.Header.Get("Upgrade")), true)
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			http.Error(w, "not understood", http.StatusBadRequest)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	config := &rest.Config{Host: proxy.URL, QPS: -1}
	client, err := kubernetes.NewForConfig(config)
	g.Expect(err).NotTo(HaveOccurred())
	conn, err := agents.Dial(c.t.Context(), config, client, pod.Spec.NodeName, "pod/client", nil, "pod", containerID(pod), "20261121-000000-abcd", "pod/client")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(says(c.t, conn, "sysctl net.ipv4.ip_forward")()).To(HavePrefix("net.ipv4.ip_forward = "))
	conn.Close()
	<-conn.Gone()
	_, spdy := upgrades.Load("spdy/3.1")
	g.Expect(spdy).To(BeTrue())
}

// owners are the agents that have a journal on a node.
func (c *realCluster) owners(node string) string {
	return c.on(node, "sh", "-c", "cat /run/relapse/journals/[0-9]*/owner.json 2>/dev/null; true")
}

// pidOf finds the process of an agent other than this one.
func (c *realCluster) pidOf(g *WithT, node string, but int) (pid int) {
	decoder := json.NewDecoder(strings.NewReader(c.owners(node)))
	for decoder.More() {
		var owner struct{ Process struct{ PID int } }
		g.Expect(decoder.Decode(&owner)).To(Succeed())
		if owner.Process.PID != but {
			pid = owner.Process.PID
		}
	}
	g.Expect(pid).NotTo(BeZero())
	return pid
}

func (c *realCluster) killAgent(pod *corev1.Pod, watcher *agent.Conn) {
	t := c.t
	g := NewWithT(t)
	ruleset, err := says(t, watcher, "nft list ruleset")()
	g.Expect(err).NotTo(HaveOccurred())
	other := c.pidOf(g, pod.Spec.NodeName, 0)
	conn := c.agent(pod)
	g.Expect(c.apply(conn, "sysctl", `{"key": "net.ipv4.conf.all.log_martians", "value": "1"}`)).To(Succeed())
	g.Expect(c.apply(conn, "packets", `{"at": "input", "state": "invalid", "drop": "100%"}`)).To(Succeed())
	g.Expect(c.apply(conn, "hold-fin", `{"port": 8080, "maxHold": "1s"}`)).To(Succeed())
	c.on(pod.Spec.NodeName, "kill", "-9", fmt.Sprint(c.pidOf(g, pod.Spec.NodeName, other)))
	begin := time.Now()
	<-conn.Gone()
	_, err = agent.Hello.Call(t.Context(), conn, agent.None{}, nil)
	g.Expect(err).To(MatchError(agent.ErrGone))
	g.Expect(err).To(MatchError(ContainSubstring("exit code 137")))
	g.Eventually(says(t, watcher, "nft list ruleset"), patience, 50*time.Millisecond).Should(Equal(ruleset))
	g.Eventually(says(t, watcher, "sysctl net.ipv4.conf.all.log_martians"), patience, 50*time.Millisecond).Should(HaveSuffix("= 0\n"))
	t.Logf("undone by keep in %s", since(begin))
}

// The harness's own end is seen by the agent as the end of its stream.
func (c *realCluster) killHarness(pod *corev1.Pod, watcher *agent.Conn) {
	t := c.t
	g := NewWithT(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestDialler$")
	cmd.Env = append(os.Environ(), "RELAPSE_TEST_DIAL="+pod.Spec.NodeName+" "+containerID(pod), "KUBECONFIG="+c.kubeconfig)
	output := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	g.Expect(cmd.Start()).To(Succeed())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // where it was not got to below
	g.Eventually(says(t, watcher, "sysctl net.ipv4.conf.all.log_martians"), patience, 50*time.Millisecond).Should(HaveSuffix("= 1\n"))
	g.Expect(cmd.Process.Kill()).To(Succeed())
	begin := time.Now()
	_ = cmd.Wait()
	g.Eventually(says(t, watcher, "sysctl net.ipv4.conf.all.log_martians"), patience, 20*time.Millisecond).Should(HaveSuffix("= 0\n"))
	t.Logf("undone in %s", since(begin))
}

// TestDialler is the harness that is killed.
func TestDialler(t *testing.T) {
	node, id, ok := strings.Cut(os.Getenv("RELAPSE_TEST_DIAL"), " ")
	if !ok {
		t.Skip("is a part of TestOnARealCluster")
	}
	g := NewWithT(t)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	g.Expect(err).NotTo(HaveOccurred())
	client, err := kubernetes.NewForConfig(config)
	g.Expect(err).NotTo(HaveOccurred())
	conn, err := agents.Dial(t.Context(), config, client, node, "pod/client", os.Stderr, "pod", id, "20261121-000000-abcd", "pod/client")
	g.Expect(err).NotTo(HaveOccurred())
	c := &realCluster{t: t}
	g.Expect(c.apply(conn, "sysctl", `{"key": "net.ipv4.conf.all.log_martians", "value": "1"}`)).To(Succeed())
	time.Sleep(patience)
}

func (c *realCluster) tryRestart(watcher *agent.Conn) {
	t := c.t
	g := NewWithT(t)
	if _, ok := c.image.Programs()["nginx"]; !ok {
		t.Skip("needs nginx")
	}
	maps := c.client.CoreV1().ConfigMaps("default")
	_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "proxy"}, Data: map[string]string{
		"nginx.conf": nginxConf, "answer.conf": `return 200 "one";`,
	}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(maps.Delete(context.Background(), "proxy", metav1.DeleteOptions{})).To(Succeed()) })
	proxy := c.run(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "proxy"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: "main", Image: "nginx", Command: []string{"nginx"}, Args: []string{"-e", "stderr", "-g", "daemon off;", "-c", "/run/proxy/nginx.conf"},
			VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/run/proxy", ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "proxy"}}}}},
	}})
	answer := attempt(t, watcher, "http", `{"url": "http://`+proxy.Status.PodIP+`:8000/"}`)
	failure := func() error { _, err := answer(); return err }
	g.Eventually(answer, patience).Should(ContainSubstring("200"))
	conn := c.agent(proxy)
	programs := program.Remote{Conn: conn}
	g.Expect(programs.Names(t.Context())).To(Equal([]string{"main"}))
	g.Expect(programs.Ports(t.Context(), "main")).To(Equal([]uint16{8000}))
	begin := time.Now()
	g.Expect(c.apply(conn, "restart-container", `{"container": "main", "files": {"answer.conf": "return 503;"}}`)).To(Succeed())
	t.Logf("nginx started again in %s", since(begin))
	g.Expect(changes.Read.Call(t.Context(), conn, "restart-container", nil)).To(HaveKeyWithValue("running", 1.0))
	g.Expect(failure()).To(MatchError(ContainSubstring("503")))
	g.Expect(changes.Undo.Call(t.Context(), conn, "restart-container", nil)).Error().NotTo(HaveOccurred())
	g.Expect(answer()).To(ContainSubstring("200"))

	// What it says is followed, and is in the pod's log.
	heard := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = programs.Follow(ctx, program.Following{Name: "main", Match: []string{`\[emerg\]`}}, func(line string) { heard <- line })
	}()
	err = c.apply(conn, "restart-container", `{"container": "main", "files": {"answer.conf": "nonsense"}}`)
	g.Expect(err).To(MatchError(ContainSubstring("unexpected end of file")))
	g.Eventually(heard, patience).Should(Receive(ContainSubstring("answer.conf")))
	log, err := c.client.CoreV1().Pods("default").GetLogs("proxy", &corev1.PodLogOptions{}).DoRaw(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(log)).To(ContainSubstring("[emerg]"))
	g.Eventually(answer, patience).Should(ContainSubstring("200"))

	// The agent is killed: the container's supervisor starts nginx as the pod says.
	g.Expect(c.apply(conn, "restart-container", `{"container": "main", "files": {"answer.conf": "return 503;"}}`)).To(Succeed())
	g.Expect(failure()).To(MatchError(ContainSubstring("503")))
	c.on(proxy.Spec.NodeName, "sh", "-c", `for owner in /run/relapse/journals/[0-9]*/owner.json; do if grep -q pod/proxy $owner; then kill -9 $(sed 's/.*"pid":\([0-9]*\).*/\1/' $owner); fi; done`)
	g.Eventually(answer, patience).Should(ContainSubstring("200"))
	now, err := c.client.CoreV1().Pods("default").Get(t.Context(), "proxy", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(now.Status.ContainerStatuses[0].RestartCount).To(BeZero())
}

// killKeep kills the DaemonSet's main process, which takes all agents of the node with it. The next one finds their journals.
func (c *realCluster) killKeep(pod *corev1.Pod) {
	t := c.t
	g := NewWithT(t)
	conn := c.agent(pod)
	g.Expect(c.apply(conn, "sysctl", `{"key": "net.ipv4.conf.all.log_martians", "value": "1"}`)).To(Succeed())
	g.Expect(c.apply(conn, "packets", `{"at": "input", "state": "invalid", "drop": "100%"}`)).To(Succeed())
	begin := time.Now()
	c.on(pod.Spec.NodeName, "sh", "-c", `for p in /proc/[0-9]*; do if [ "$(tr '\0' ' ' <$p/cmdline)" = '/relapse-agent keep ' ]; then kill -9 ${p#/proc/}; fi; done`)
	<-conn.Gone()
	g.Eventually(func() string { return c.owners(pod.Spec.NodeName) }, patience).Should(BeEmpty())
	t.Logf("undone by the next keep in %s", since(begin))
	var err error
	g.Eventually(func() error { conn, err = c.dial(pod); return err }, patience).Should(Succeed())
	defer conn.Close()
	g.Expect(says(t, conn, "sysctl net.ipv4.conf.all.log_martians")()).To(HaveSuffix("= 0\n"))
	g.Expect(says(t, conn, "nft list ruleset")()).NotTo(ContainSubstring("ct state invalid"))
}
