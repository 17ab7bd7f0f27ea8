package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// cluster is a running lab.
type cluster struct {
	lab  *Lab
	spec clusters.Spec
	work workload

	// changing is held while an object is applied or deleted, until the cluster acts on it.
	changing  sync.Mutex
	mu        sync.Mutex
	processes map[string]*local.Process // by place; the wiring's is "wiring"
	state     state
	// line is the state as it was last told, and proxyLine the one for kube-proxies, which has the crowd too.
	line, proxyLine string
	addresses       serviceAddresses
	told            map[string]string // program to tell the state, by place
	toldAt          time.Time
	proxyMode       string
	otherMode       bool // it was another one meanwhile
	crowd           clusters.Crowd
	crowded         []*corev1.Service
	given           map[object][]byte // objects as they were given, of the kinds that can be replaced
}

const wiring = "wiring"

// Create makes a cluster. It takes about as long as its slowest program takes to start.
func (l *Lab) Create(ctx context.Context, spec clusters.Spec) (clusters.Cluster, error) {
	if errs := l.Check(spec.Workload); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	work, err := parse(append(slices.Clone(system), spec.Workload...))
	if err != nil {
		return nil, err
	}
	c := &cluster{lab: l, spec: spec, work: work, proxyMode: spec.Proxy, processes: map[string]*local.Process{}, told: map[string]string{}, given: map[object][]byte{}}
	for _, text := range append(slices.Clone(system), spec.Workload...) {
		c.keep(text)
	}
	if err := c.up(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("lab %s: %w", spec.Name, err), c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *cluster) up(ctx context.Context) error {
	if err := c.place(); err != nil {
		return err
	}
	return c.spec.Make(ctx,
		clusters.Step{What: "namespaces", Do: c.startAgents},
		clusters.Step{What: "wires", Do: c.connect},
		clusters.Step{What: "addresses and routes", Do: c.configure},
		clusters.Step{What: "programs", Do: c.startPrograms},
		clusters.Step{What: "Services", Do: c.tell},
		clusters.Step{What: "network policies", Do: c.enforce},
	)
}

// place decides where everything goes, and makes nothing yet.
func (c *cluster) place() error {
	if errs := c.work.check(c.spec.Nodes); len(errs) > 0 {
		return errors.Join(errs...)
	}
	c.schedule()
	for _, s := range c.work.services {
		if err := c.addresses.assign(s); err != nil {
			return err
		}
	}
	return nil
}

// schedule puts each pod on a node, in turn if the pod does not say which, and gives it an address.
func (c *cluster) schedule() {
	names := nodeNames(c.spec.Nodes)
	pods := make([]int, len(names))
	next := 0
	for _, pod := range c.work.pods {
		if pod.Spec.NodeName == "" {
			pod.Spec.NodeName = names[next%len(names)]
			next++
		}
		n := slices.Index(names, pod.Spec.NodeName)
		pod.Status = corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: podIP(n, pods[n]), PodIPs: []corev1.PodIP{{IP: podIP(n, pods[n])}}, HostIP: nodeIP(n),
		}
		pods[n]++
	}
}

func podPlace(pod *corev1.Pod) string { return "pod/" + pod.Name }
func nodePlace(name string) string    { return "node/" + name }

func (c *cluster) startAgents(context.Context) error {
	var group errgroup.Group
	keep := func(place string, start func() (*local.Process, error)) {
		group.Go(func() error {
			p, err := start()
			if err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.processes[place] = p
			return nil
		})
	}
	keep(wiring, func() (*local.Process, error) {
		return c.programs().Start(wiring, sandbox.WiringNamespaces, "wiring")
	})
	node := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "node"}, Spec: corev1.PodSpec{DNSPolicy: corev1.DNSDefault}}
	for _, name := range append(nodeNames(c.spec.Nodes), "outside") {
		place := nodePlace(name)
		if name == "outside" {
			place = name
		}
		keep(place, func() (*local.Process, error) {
			return c.programs().StartSandbox(place, sandbox.Home{Hostname: name, Files: podFiles(node)})
		})
	}
	for _, pod := range c.work.pods {
		keep(podPlace(pod), func() (*local.Process, error) {
			mounts, err := c.work.mounts(pod)
			if err != nil {
				return nil, err
			}
			home := sandbox.Home{Hostname: pod.Name, Files: podFiles(pod), Mounts: mounts}
			for _, container := range pod.Spec.Containers {
				if container.Image == corednsImage {
					continue
				}
				argv, _, err := c.lab.argv(container)
				if err != nil {
					return nil, fmt.Errorf("Pod %s: container %s: %w", pod.Name, container.Name, err)
				}
				home.Programs = append(home.Programs, argv[0])
			}
			return c.programs().StartSandbox(podPlace(pod), home)
		})
	}
	return group.Wait()
}

// programs are those of this cluster's agents.
func (c *cluster) programs() local.Programs {
	return local.Programs{Bin: c.lab.Bin, Logs: c.spec.Logs, Env: c.spec.Env}
}

// port is the name of a pod's link in its node's namespace.
func (c *cluster) port(pod *corev1.Pod) string {
	return fmt.Sprintf("veth%d", slices.Index(c.work.pods, pod)+1)
}

func (c *cluster) connect(ctx context.Context) error {
	var wires netconf.Wires
	for i, name := range append(nodeNames(c.spec.Nodes), "outside") {
		place := nodePlace(name)
		if name == "outside" {
			place = name
		}
		wires.Pairs = append(wires.Pairs, [2]netconf.End{{Name: fmt.Sprintf("port%d", i+1)}, {PID: c.pid(place), Name: "eth0"}})
	}
	for _, pod := range c.work.pods {
		wires.Pairs = append(wires.Pairs, [2]netconf.End{
			{PID: c.pid(nodePlace(pod.Spec.NodeName)), Name: c.port(pod)}, {PID: c.pid(podPlace(pod)), Name: "eth0"},
		})
	}
	// A sandbox that did not get as far as its own namespaces ends at once: its stream says so before its process id is used.
	for place, p := range c.processes {
		select {
		case <-p.Conn.Gone():
			return fmt.Errorf("%s: the agent ended at its start; see %s", place, c.programs().LogFile(place))
		default:
		}
	}
	_, err := netconf.Connect.Call(ctx, c.processes[wiring].Conn, wires, nil)
	return err
}

// configure sets up every namespace from inside, all at once.
func (c *cluster) configure(ctx context.Context) error {
	configs := map[string]netconf.Config{wiring: c.wiringConfig(), "outside": c.outsideConfig()}
	for n, name := range nodeNames(c.spec.Nodes) {
		configs[nodePlace(name)] = c.nodeConfig(n)
	}
	for _, pod := range c.work.pods {
		configs[podPlace(pod)] = c.podConfig(pod)
	}
	group, ctx := errgroup.WithContext(ctx)
	for place, config := range configs {
		group.Go(func() error {
			_, err := netconf.Configure.Call(ctx, c.processes[place].Conn, config, nil)
			return err
		})
	}
	return group.Wait()
}

// startPrograms starts kube-proxy's code on the nodes, the pods' containers, and the outside's DNS and web servers.
func (c *cluster) startPrograms(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for n, name := range nodeNames(c.spec.Nodes) {
		place := nodePlace(name)
		c.told[place] = kubeProxy
		group.Go(func() error { return c.start(ctx, place, c.kubeProxyOf(n, c.proxyMode)) })
	}
	for _, pod := range c.work.pods {
		for _, container := range pod.Spec.Containers {
			if container.Image == corednsImage {
				c.told[podPlace(pod)] = corednsImage
				group.Go(func() error { return c.startCoreDNSPod(ctx, podPlace(pod)) })
				continue
			}
			group.Go(func() error { return c.startContainer(ctx, pod, container) })
		}
	}
	group.Go(func() error { return c.startOutsideDNS(ctx) })
	group.Go(func() error {
		argv := []string{filepath.Join(c.lab.Bin, "relapse-agent"), "http", outside.Host + ":80"}
		return c.startProgram(ctx, "outside", "outside-http", argv, nil)
	})
	return group.Wait()
}

func (c *cluster) startContainer(ctx context.Context, pod *corev1.Pod, container corev1.Container) error {
	argv, command, err := c.lab.argv(container)
	if err != nil {
		return fmt.Errorf("Pod %s: container %s: %w", pod.Name, container.Name, err)
	}
	return c.start(ctx, podPlace(pod), program.Spec{Name: container.Name, Argv: argv, Command: command, Files: c.work.files(pod, container)})
}

func (c *cluster) startProgram(ctx context.Context, place, name string, argv []string, files map[string]string) error {
	return c.start(ctx, place, program.Spec{Name: name, Argv: argv, Files: files})
}

// start starts a program whose log is kept in the run folder.
func (c *cluster) start(ctx context.Context, place string, s program.Spec) error {
	logs, err := filepath.Abs(filepath.Join(c.spec.Logs, strings.ReplaceAll(place, "/", "-")+"-"+s.Name+".log"))
	if err != nil {
		return err
	}
	s.Logs = logs
	_, err = program.Start.Call(ctx, c.processes[place].Conn, s, nil)
	return err
}

func (c *cluster) startCoreDNS(ctx context.Context, place, name, corefile string, args ...string) error {
	path := "/run/relapse/" + name + "/Corefile"
	argv := append([]string{filepath.Join(c.lab.Bin, "relapse-coredns"), "--conf", path}, args...)
	return c.startProgram(ctx, place, name, argv, map[string]string{path: corefile})
}

// startOutsideDNS starts a CoreDNS that needs no API, and waits until it listens.
func (c *cluster) startOutsideDNS(ctx context.Context) error {
	const place, name = "outside", "outside-dns"
	if err := c.startCoreDNS(ctx, place, name, outside.Corefile); err != nil {
		return err
	}
	_, err := program.Send.Call(ctx, c.processes[place].Conn, program.Input{Name: name, Expect: `"synced":0`}, nil)
	return err
}

// tell sends the state of the cluster to all that act on it, and returns when they have.
func (c *cluster) tell(ctx context.Context) error {
	c.mu.Lock()
	c.state.Revision++
	c.state.Services, c.state.Pods, c.state.EndpointSlices, c.state.Namespaces = c.work.services, c.work.pods, nil, nil
	namespaces := map[string]bool{metav1.NamespaceDefault: true, metav1.NamespaceSystem: true}
	for _, s := range c.work.services {
		c.state.EndpointSlices = append(c.state.EndpointSlices, endpoints(s, c.work.pods))
		namespaces[s.Namespace] = true
	}
	for _, n := range c.work.namespaces {
		delete(namespaces, n.Name)
		c.state.Namespaces = append(c.state.Namespaces, n)
	}
	for _, name := range slices.Sorted(maps.Keys(namespaces)) {
		c.state.Namespaces = append(c.state.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	line, err := json.Marshal(c.state)
	toProxies, proxiesErr := c.withCrowd(line)
	c.line, c.proxyLine = string(line), string(toProxies)
	c.mu.Unlock()
	if err := errors.Join(err, proxiesErr); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for place, name := range c.told {
		group.Go(func() error { return c.tellPlace(ctx, place, name) })
	}
	err = group.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.toldAt = time.Now()
	return err
}

// tellPlace sends the state to one program, and returns when it acts on it.
func (c *cluster) tellPlace(ctx context.Context, place, name string) error {
	c.mu.Lock()
	in := program.Input{Name: name, Line: c.line, Expect: fmt.Sprintf(`"synced":%d`, c.state.Revision)}
	if name == kubeProxy {
		in.Line = c.proxyLine
	}
	c.mu.Unlock()
	_, err := program.Send.Call(ctx, c.processes[place].Conn, in, nil)
	if err != nil && c.mayEnd(name) && c.ended(ctx, place, name) {
		return nil
	}
	return err
}

// staleAfter is when kube-proxy removes the chains of a Service that has gone, in nftables mode: at a synchronization this long after the
// last one. Source: Kubernetes pkg/proxy/nftables/proxier.go (staleChains).
const staleAfter = time.Second

// Settle sends the state again, for what kube-proxy has put off.
func (c *cluster) Settle(ctx context.Context) error {
	c.mu.Lock()
	due := time.NewTimer(time.Until(c.toldAt.Add(staleAfter)))
	c.mu.Unlock()
	defer due.Stop()
	select {
	case <-due.C:
		return c.tell(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Places lists the places that have an agent, less the wiring.
func (c *cluster) Places() []string {
	var places []string
	for place := range c.processes {
		if place != wiring {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return places
}

// Resolve turns a selector into places.
func (c *cluster) Resolve(on string) ([]string, error) {
	var places []string
	if on == "nodes" {
		for _, name := range nodeNames(c.spec.Nodes) {
			places = append(places, nodePlace(name))
		}
		return places, nil
	}
	if name, ok := strings.CutPrefix(on, "node-of/"); ok {
		for _, pod := range c.podsNamed(name) {
			if place := nodePlace(pod.Spec.NodeName); !slices.Contains(places, place) {
				places = append(places, place)
			}
		}
	} else if name, ok := strings.CutPrefix(on, "pod/"); ok {
		for _, pod := range c.podsNamed(name) {
			places = append(places, podPlace(pod))
		}
	} else if _, ok := c.processes[on]; ok {
		places = []string{on}
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("%s: no such place; must be nodes or one of %s", on, strings.Join(c.Places(), ", "))
	}
	return places, nil
}

// podsNamed returns the pod with this name, or the pods of the Deployment with this name.
func (c *cluster) podsNamed(name string) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range c.work.pods {
		if pod.Name == name || pod.Annotations[ownerLabel] == name {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Address of a node or pod.
func (c *cluster) Address(place string) (string, error) {
	for n, name := range nodeNames(c.spec.Nodes) {
		if place == nodePlace(name) {
			return nodeIP(n), nil
		}
	}
	for _, pod := range c.work.pods {
		if place == podPlace(pod) {
			return pod.Status.PodIP, nil
		}
	}
	return "", fmt.Errorf("%s is no node or pod", place)
}

// Agent of a place, or nil.
func (c *cluster) Agent(place string) *agent.Conn {
	if p, ok := c.processes[place]; ok {
		return p.Conn
	}
	return nil
}

func (c *cluster) pid(place string) int {
	if p, ok := c.processes[place]; ok {
		return p.PID()
	}
	return 0
}

// Enter is nsenter with the agent's process.
func (c *cluster) Enter(place string) []string {
	return []string{"nsenter", "-t", fmt.Sprint(c.pid(place)), "-n", "-m", "-u", "-p"}
}

// Interrupt ends the streams to all agents, upon which they end.
func (c *cluster) Interrupt() {
	for _, p := range c.all() {
		_ = p.Conn.Close() // it may be gone already
	}
}

func (c *cluster) all() []*local.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.processes))
}

// Close ends all agents, and with them everything else.
func (c *cluster) Close(ctx context.Context) error {
	processes := c.all()
	errs := make([]error, len(processes))
	var all sync.WaitGroup
	for i, p := range processes {
		all.Go(func() { errs[i] = p.End(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
