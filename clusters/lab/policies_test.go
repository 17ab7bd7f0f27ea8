package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/logs"

	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/lab"
)

// object turns the YAML of an object into its JSON.
func object(t testing.TB, text string) []byte {
	t.Helper()
	var value any
	NewWithT(t).Expect(yaml.Unmarshal([]byte(text), &value)).To(Succeed())
	data, err := json.Marshal(value)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return data
}

// policy is a NetworkPolicy of the namespace default.
func policy(t testing.TB, name, spec string) []byte {
	t.Helper()
	return object(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: `+name+`}, spec: `+spec+`}`)
}

// guarded has on node-1 the pods client (10.244.1.3) and near (10.244.1.4), on node-2 web (10.244.2.3) and, of another
// namespace, stranger (10.244.2.4). CoreDNS has the second address of each node.
func guarded(t *testing.T, proxy string) clusters.Cluster {
	t.Helper()
	var workload [][]byte
	for _, text := range []string{
		`{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {trusted: "yes"}}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: client, labels: {app: client}}, spec: {nodeName: node-1, containers: [{name: main, image: relapse, args: [server, ":8080"]}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: near, labels: {app: near}}, spec: {nodeName: node-1, containers: [{name: main, image: relapse, args: [server, ":8080"]}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {nodeName: node-2, containers: [{name: main, image: relapse, args: [server, ":8080"], ports: [{name: http, containerPort: 8080}]}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: stranger, namespace: team, labels: {app: client}}, spec: {nodeName: node-2, containers: [{name: main, image: relapse, args: [pause]}]}}`,
		`{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.80, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}`,
	} {
		workload = append(workload, object(t, text))
	}
	return create(t, clusters.Spec{Name: "guarded-" + proxy, Nodes: 2, Proxy: proxy, PodNetwork: "routes", Workload: workload})
}

var targets = map[string]string{"near": "10.244.1.4:8080", "web": "10.244.2.3:8080", "service": "10.96.0.80:80", "client": "10.244.1.3:8080"}

// prober keeps its probes, because a lookup with the source port of an earlier one would pass as a part of that.
type prober struct {
	t    *testing.T
	c    clusters.Cluster
	mu   sync.Mutex
	open map[string]bool
}

func (p *prober) opened(id, from, kind string, config any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[id] {
		return nil
	}
	p.open[id] = true
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	_, err = probes.OpenProbe.Call(p.t.Context(), p.c.Agent(from), probes.Opening{ID: id, Name: kind, Config: raw}, nil)
	return err
}

// tries makes a list of attempts, written as place>target, and returns how each failed; the target dns is a lookup.
func (p *prober) tries(list string, timeout time.Duration) map[string]string {
	p.t.Helper()
	errs := map[string]string{}
	results := make(chan [2]string)
	var group errgroup.Group
	all := strings.Fields(list)
	for _, one := range all {
		from, to, _ := strings.Cut(one, ">")
		if !strings.HasPrefix(from, "node-") {
			from = "pod/" + from
		} else {
			from = "node/" + from
		}
		group.Go(func() error {
			var config any = probes.Connect{To: targets[to]}
			kind := "connect"
			if to == "dns" {
				config, kind = probes.Lookup{Name: "web.default.svc.cluster.local."}, "lookup"
			}
			sample := probes.Sample{Error: "no sample"}
			err := p.opened(one, from, kind, config)
			if err == nil {
				sampling := probes.Sampling{ID: one, Attempts: 1, Every: time.Millisecond, Timeout: timeout}
				_, err = probes.SampleProbe.Call(p.t.Context(), p.c.Agent(from), sampling, func(s probes.Sample) { sample = s })
			}
			results <- [2]string{one, sample.Error}
			return err
		})
	}
	for range all {
		result := <-results
		errs[result[0]] = result[1]
	}
	NewWithT(p.t).Expect(group.Wait()).To(Succeed())
	return errs
}

// packetRows are policies, and what passes and what is dropped under them.
var packetRows = []struct {
	name        string
	policies    []string
	pass, drops string
}{
	{name: "no policy", pass: "client>web client>near client>service client>dns stranger>web web>client"},
	{
		name: "ingress alone, over the bridge, between nodes and through a Service", policies: []string{`{podSelector: {}}`},
		pass:  "client>dns web>dns node-1>near node-2>web",
		drops: "client>near client>web client>service stranger>web web>client node-1>web",
	},
	{
		name: "egress alone", policies: []string{`{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress]}`},
		pass:  "web>client near>client stranger>web",
		drops: "client>dns client>web client>near client>service",
	},
	{
		name: "both ends must allow", policies: []string{
			`{podSelector: {}, policyTypes: [Ingress, Egress]}`,
			`{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}`,
			`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: http}]}]}`,
		},
		pass:  "client>web client>service web>web web>service",
		drops: "client>near near>web stranger>web client>dns",
	},
	{
		name: "policies see the address behind a Service's", policies: []string{
			`{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.96.0.0/12}}]}]}`,
		},
		drops: "client>service client>dns client>web",
	},
	{
		name: "a pod behind its Service", policies: []string{
			`{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}`,
		},
		pass: "client>service client>web", drops: "client>near client>dns",
	},
	{
		name: "namespaces by their labels, and with pods", policies: []string{
			`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {trusted: "yes"}}, podSelector: {matchLabels: {app: client}}}]}]}`,
		},
		pass: "stranger>web", drops: "client>web near>service",
	},
	{
		name: "DNS by UDP", policies: []string{
			`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{protocol: UDP, port: 53}]}]}`,
		},
		pass: "client>dns web>dns", drops: "client>web web>client",
	},
	{
		name: "a network less a part, and a range of ports", policies: []string{
			`{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.1.0/24]}}], ports: [{port: 8000, endPort: 8080}]}]}`,
		},
		pass: "client>web client>service", drops: "client>near client>dns",
	},
}

func TestWhatPoliciesLetThrough(t *testing.T) {
	for _, proxy := range []string{"nftables", "iptables"} {
		t.Run(proxy, func(t *testing.T) {
			c := guarded(t, proxy)
			p := &prober{t: t, c: c, open: map[string]bool{}}
			for _, row := range packetRows {
				g := NewWithT(t)
				for i, spec := range row.policies {
					g.Expect(c.Apply(t.Context(), policy(t, string(rune('a'+i)), spec))).To(Succeed())
				}
				for try, err := range p.tries(row.pass, 5*time.Second) {
					g.Expect(err).To(BeEmpty(), "%s: %s", row.name, try)
				}
				for try, err := range p.tries(row.drops, 300*time.Millisecond) {
					g.Expect(err).To(Or(ContainSubstring("timeout"), ContainSubstring("deadline")), "%s: %s", row.name, try)
				}
				for i := range row.policies {
					g.Expect(c.Delete(t.Context(), "NetworkPolicy", "", string(rune('a'+i)))).To(Succeed())
				}
			}
		})
	}
}

func TestPoliciesOfTheWorkloadAreInForce(t *testing.T) {
	l := newLab(t)
	workload := append([][]byte{policy(t, "deny", `{podSelector: {matchLabels: {app: web}}}`)}, webAndClient...)
	NewWithT(t).Expect(l.Check(workload)).To(BeEmpty())
	c := create(t, clusters.Spec{Name: "workload", Nodes: 1, Proxy: "nftables", Workload: workload})
	values, err := readers.Read.Call(t.Context(), c.Agent("node/node-1"), readers.Question{Reader: "policy"}, nil)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(values).To(HaveKeyWithValue("isolated", 2.0))
}

func TestDropsAreToldAndOpenConnectionsGoOn(t *testing.T) {
	c := guarded(t, "nftables")
	p := &prober{t: t, c: c, open: map[string]bool{}}
	g := NewWithT(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lines, ended := make(chan logs.Line, 100), make(chan error, 1)
	go func() { ended <- c.Follow(ctx, func(line logs.Line) { lines <- line }) }()

	raw, err := json.Marshal(probes.Echo{To: targets["service"]})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = probes.OpenProbe.Call(ctx, c.Agent("pod/client"), probes.Opening{ID: "open", Name: "echo", Config: raw}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	echo := func() (failure string) {
		sampling := probes.Sampling{ID: "open", Attempts: 1, Every: time.Millisecond, Timeout: 5 * time.Second}
		_, err := probes.SampleProbe.Call(ctx, c.Agent("pod/client"), sampling, func(s probes.Sample) { failure = s.Error })
		g.Expect(err).NotTo(HaveOccurred())
		return failure
	}
	g.Expect(echo()).To(BeEmpty())
	g.Expect(c.Apply(ctx, policy(t, "deny-ingress", `{podSelector: {}}`))).To(Succeed())
	g.Expect(echo()).To(BeEmpty(), "it was open before")

	next := func() logs.Line {
		select {
		case line := <-lines:
			return line
		case <-ctx.Done():
			t.Fatal("no drop was told")
			return logs.Line{}
		}
	}
	p.tries("client>service", 300*time.Millisecond)
	g.Expect(next()).To(Equal(logs.Line{
		Source: "policy", Event: "policy-drop", On: "node/node-2",
		Line: "ingress of default/web from 10.244.1.3 (default/client) to port 8080/tcp dropped: isolated by default/deny-ingress",
		Fields: map[string]string{
			"namespace": "default", "pod": "web", "direction": "ingress", "policy": "default/deny-ingress", "peer": "default/client", "protocol": "tcp", "port": "8080",
		},
	}))
	g.Expect(c.Apply(ctx, policy(t, "deny-ingress", `{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 53}]}]}`))).To(Succeed())
	p.tries("client>service", 300*time.Millisecond)
	told := next()
	g.Expect(told.On).To(Equal("node/node-1"))
	g.Expect(told.Line).To(Equal("egress of default/client to 10.244.2.3:8080/tcp (default/web) dropped: isolated by default/deny-ingress"))

	cancel()
	g.Expect(<-ended).To(Succeed())
}

func TestObjectsComeAndGoWithoutATrace(t *testing.T) {
	c := guarded(t, "nftables")
	p := &prober{t: t, c: c, open: map[string]bool{}}
	g := NewWithT(t)
	ctx := t.Context()
	prints := func() map[string]fingerprint.Fingerprint {
		all := map[string]fingerprint.Fingerprint{}
		for _, place := range c.Places() {
			f, err := readers.TakeFingerprint.Call(ctx, c.Agent(place), fingerprint.Options{Run: "test", StateDir: t.TempDir()}, nil)
			g.Expect(err).NotTo(HaveOccurred())
			all[place] = f
		}
		return all
	}
	before := prints()
	given := func(kind, namespace, name string) []byte {
		text, err := c.Object(ctx, kind, namespace, name)
		g.Expect(err).NotTo(HaveOccurred())
		return text
	}
	web := given("Service", "", "web")
	g.Expect(web).NotTo(BeNil())
	team := given("Namespace", "", "team")

	g.Expect(c.Apply(ctx, policy(t, "deny", `{podSelector: {}, policyTypes: [Ingress, Egress]}`))).To(Succeed())
	g.Expect(c.Apply(ctx, policy(t, "deny", `{podSelector: {}}`))).To(Succeed())
	g.Expect(string(given("NetworkPolicy", "default", "deny"))).To(ContainSubstring(`"spec":{"podSelector":{}}`), "the second one took the first one's place")
	g.Expect(c.Apply(ctx, object(t, `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: none}, ports: [{port: 80}]}}`))).To(Succeed())
	g.Expect(c.Apply(ctx, object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: team}}`))).To(Succeed())
	g.Expect(c.Delete(ctx, "NetworkPolicy", "default", "deny")).To(Succeed())
	g.Expect(given("NetworkPolicy", "default", "deny")).To(BeNil())
	refused := p.tries("client>service", 5*time.Second)
	g.Expect(refused["client>service"]).To(ContainSubstring("refused"), "it kept its address")

	g.Expect(c.Apply(ctx, web)).To(Succeed())
	g.Expect(c.Apply(ctx, team)).To(Succeed())
	g.Expect(p.tries("client>service", 5*time.Second)).To(HaveKeyWithValue("client>service", ""))
	g.Expect(c.Delete(ctx, "NetworkPolicy", "default", "deny")).To(Succeed(), "what is gone can be deleted")
	g.Eventually(func() []string {
		g.Expect(c.Settle(ctx)).To(Succeed()) // kube-proxy takes a chain away a while after its Service
		var all []string
		after := prints()
		for place, f := range before {
			all = append(all, fingerprint.Diff(f, after[place])...)
		}
		return all
	}, "15s", "500ms").Should(BeEmpty())
}

func TestObjectsThatAreRefused(t *testing.T) {
	c := guarded(t, "nftables")
	for text, want := range map[string]string{
		`{apiVersion: v1, kind: Pod, metadata: {name: late}, spec: {containers: [{name: main, image: relapse}]}}`: "Pod default/late: the lab applies only objects of kinds [NetworkPolicy Service Namespace] and ConfigMap kube-system/coredns while it runs",
		`{apiVersion: v1, kind: Service, metadata: {name: new}, spec: {clusterIP: 10.96.0.80, selector: {a: b}}}`: "Service new: spec.clusterIP: 10.96.0.80 is taken",
	} {
		NewWithT(t).Expect(c.Apply(t.Context(), object(t, text))).To(MatchError(want))
	}
	NewWithT(t).Expect(c.Delete(t.Context(), "Pod", "", "web")).To(MatchError(ContainSubstring("the lab deletes only objects of kinds")))
	NewWithT(t).Expect(c.Delete(t.Context(), "Namespace", "", "team")).To(MatchError("Namespace team: it has pods, and the lab does not end them"))
}

func TestThePartsOfPoliciesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}, egress: [{ports: [{protocol: SCTP, port: 1}]}]}}`:         "NetworkPolicy p: spec.egress[0].ports[0].protocol: SCTP is not covered, only TCP and UDP",
		`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}, ingress: [{to: [{podSelector: {}}]}]}}`:                   "NetworkPolicy p: spec.ingress[].to[].podSelector: the lab does not understand this field",
		`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}, ingress: [{from: [{serviceSelector: {}}]}]}}`:             "NetworkPolicy p: spec.ingress[].from[].serviceSelector: the lab does not understand this field",
		`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}, egress: [{to: [{podselector: {matchLabels: {a: b}}}]}]}}`: "NetworkPolicy p: spec.egress[].to[].podselector.matchLabels.a: the lab does not understand this field",
		`{apiVersion: v1, kind: Namespace, metadata: {name: n}, spec: {finalizers: [kubernetes]}}`:                                                                      "Namespace n: spec.finalizers[]: the lab does not understand this field",
	} {
		NewWithT(t).Expect(errors.Join((&lab.Lab{}).Check([][]byte{object(t, text)})...)).To(MatchError(want))
	}
}

func TestCoreDNSReadsItsCorefileWhenItIsStartedAnew(t *testing.T) {
	c := guarded(t, "nftables")
	g, ctx, named := NewWithT(t), t.Context(), c.(clusters.NameServed)
	serving := func() int {
		n, pods, err := named.CoreDNS(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(pods).To(Equal(2))
		return n
	}
	restore, err := c.Keep(ctx, "ConfigMap", "kube-system", "coredns")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Apply(ctx, object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: "nonsense {"}}`))).To(Succeed())
	g.Expect(serving()).To(Equal(2))
	g.Expect(named.RestartCoreDNS(ctx)).To(Succeed())
	g.Expect(serving()).To(Equal(0))
	g.Expect(c.Settle(ctx)).To(Succeed(), "a CoreDNS that has ended does not stop others from being told")
	g.Expect(restore(ctx)).To(Succeed())
	g.Expect(named.RestartCoreDNS(ctx)).To(Succeed())
	g.Expect(serving()).To(Equal(2))
	g.Expect(attempt(t, c, "pod/client", "lookup", probes.Lookup{Name: "web"}).Error).To(BeEmpty())
}
