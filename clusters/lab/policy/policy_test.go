package policy_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/lab/policy"
)

func pod(namespace, name, ip string, labels map[string]string, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Ports: ports}}},
		Status:     corev1.PodStatus{PodIP: ip},
	}
}

// cluster is a node with an isolated web pod, and others elsewhere.
func cluster(t *testing.T, policies string) policy.Cluster {
	t.Helper()
	http := corev1.ContainerPort{Name: "http", ContainerPort: 8080}
	c := policy.Cluster{
		Pods: []*corev1.Pod{
			pod("default", "web", "10.244.1.2", map[string]string{"app": "web"}, http, corev1.ContainerPort{Name: "http", ContainerPort: 8081, Protocol: corev1.ProtocolUDP}),
			pod("default", "client", "10.244.2.2", map[string]string{"app": "client", "tier": "front"}),
			pod("default", "api", "10.244.2.3", map[string]string{"app": "api"}, corev1.ContainerPort{Name: "http", ContainerPort: 9090}),
			pod("team", "client", "10.244.2.4", map[string]string{"app": "client"}),
			pod("kube-system", "dns", "10.244.2.5", map[string]string{"k8s-app": "kube-dns"}),
		},
		Namespaces: []*corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "team", Labels: map[string]string{"trusted": "yes"}}}},
	}
	for _, other := range c.Pods[1:] {
		other.Spec.NodeName = "node-2"
	}
	decoder := yaml.NewDecoder(strings.NewReader(policies))
	for {
		var spec any
		if decoder.Decode(&spec) != nil {
			return c
		}
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: string(rune('a' + len(c.Policies)))}}
		text, err := json.Marshal(spec)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(json.Unmarshal(text, &p.Spec)).To(Succeed())
		NewWithT(t).Expect(policy.Validate(p)).To(BeEmpty())
		c.Policies = append(c.Policies, p)
	}
}

// rows are policies that select the pod web, and what nft then shows of its chains between the rule for itself and the drop.
var rows = []struct{ name, policies, ingress, egress string }{
	{name: "no types and no rules isolates ingress", policies: `{podSelector: {}}`, ingress: "nothing"},
	{name: "no types with egress rules isolates both", policies: `{podSelector: {}, egress: [{}]}`, ingress: "nothing", egress: "return"},
	{name: "only the types that are named", policies: `{podSelector: {}, policyTypes: [Egress]}`, egress: "nothing"},
	{name: "egress rules do not count without the type", policies: `{podSelector: {}, policyTypes: [Ingress], egress: [{}]}`, ingress: "nothing"},
	{name: "an empty rule allows everything", policies: `{podSelector: {}, ingress: [{}]}`, ingress: "return"},
	{name: "other pods are not isolated", policies: `{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress, Egress]}`},
	{
		name:     "match expressions select as well",
		policies: `{podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}, {key: tier, operator: DoesNotExist}]}}`, ingress: "nothing",
	},
	{
		name:     "a pod selector means the policy's namespace",
		policies: `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}`, ingress: "ip saddr 10.244.2.2 return",
	},
	{
		name:     "an empty pod selector means all pods of the namespace",
		policies: `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}`,
		ingress:  "ip saddr 10.244.1.2 return\nip saddr 10.244.2.2 return\nip saddr 10.244.2.3 return",
	},
	{
		name:     "a namespace selector means all pods in it",
		policies: `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {trusted: "yes"}}}]}]}`, ingress: "ip saddr 10.244.2.4 return",
	},
	{
		name:     "every namespace has a label with its name",
		policies: `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}]}`,
		egress:   "ip daddr 10.244.2.5 return",
	},
	{
		name:     "both selectors in one peer must both fit",
		policies: `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}]}]}`,
		ingress:  "ip saddr 10.244.2.2 return\nip saddr 10.244.2.4 return",
	},
	{
		name:     "of two peers either may fit",
		policies: `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {trusted: "yes"}}}, {podSelector: {matchLabels: {app: client}}}]}]}`,
		ingress:  "ip saddr 10.244.2.4 return\nip saddr 10.244.2.2 return",
	},
	{name: "peers that nobody is allow nothing", policies: `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}]}`, ingress: "nothing"},
	{
		name:     "a network less others",
		policies: `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.0.0/16, 192.168.77.1/32]}}]}]}`,
		egress:   "ip daddr 0.0.0.0/0 ip daddr != 10.244.0.0/16 ip daddr != 192.168.77.1 return",
	},
	{
		name:     "ports: a number, TCP by default; a range; a protocol alone",
		policies: `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 443}, {protocol: UDP, port: 53}, {port: 8000, endPort: 8999}, {protocol: UDP}]}]}`,
		egress:   "tcp dport 443 return\nudp dport 53 return\ntcp dport 8000-8999 return\nmeta l4proto udp return",
	},
	{
		name:     "every peer with every port",
		policies: `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}, {ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 80}, {port: 81}]}]}`,
		ingress: "ip saddr 10.244.2.3 tcp dport 80 return\nip saddr 203.0.113.0/24 tcp dport 80 return\n" +
			"ip saddr 10.244.2.3 tcp dport 81 return\nip saddr 203.0.113.0/24 tcp dport 81 return",
	},
	{name: "a named port of the pod itself", policies: `{podSelector: {}, ingress: [{ports: [{port: http}]}]}`, ingress: "tcp dport 8080 return"},
	{name: "a named port has its protocol", policies: `{podSelector: {}, ingress: [{ports: [{protocol: UDP, port: http}]}]}`, ingress: "udp dport 8081 return"},
	{name: "a name that the pod does not have", policies: `{podSelector: {}, ingress: [{ports: [{port: metrics}]}]}`, ingress: "nothing"},
	{
		name:     "a named port of whoever is connected to",
		policies: `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: http}]}]}`,
		egress:   "ip daddr 10.244.1.2 tcp dport 8080 return\nip daddr 10.244.2.3 tcp dport 9090 return",
	},
	{
		name:     "a named port of anybody",
		policies: `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}`,
		egress:   "ip daddr 10.244.1.2 tcp dport 8080 return\nip daddr 10.244.2.3 tcp dport 9090 return",
	},
	{name: "a network has no named ports", policies: `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: http}]}]}`, egress: "nothing"},
	{
		name: "policies add up, and none takes away",
		policies: "{podSelector: {}, policyTypes: [Ingress, Egress]}\n---\n" +
			"{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}\n---\n" +
			"{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}, {port: 8443}]}]}",
		ingress: "tcp dport 8080 return\ntcp dport 8443 return", egress: "nothing",
	},
}

func TestWhatTheKernelIsTold(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft(8) to read the rules: ", err)
	}
	if !nstest.Enter(t) {
		return
	}
	var enforcer enforce.Enforcer // of all rows: each replaces the rules of the one before
	for _, row := range rows {
		g := NewWithT(t)
		nodes, err := policy.Compile(cluster(t, row.policies))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(enforcer.Program(t.Context(), nodes["node-1"])).To(Succeed())
		for direction, want := range map[string]string{enforce.Ingress: row.ingress, enforce.Egress: row.egress} {
			g.Expect(chain(direction)).To(Equal(want), "%s: %s", row.name, direction)
		}
	}
	g := NewWithT(t)
	g.Expect(enforcer.Program(t.Context(), enforce.Ruleset{})).To(Succeed())
	g.Expect(nstest.Must(t, "nft list ruleset")).To(BeEmpty())
}

// chain is what allows something in the web pod's chain: "" where there is none, "nothing" where it has none.
func chain(direction string) string {
	text, err := nstest.Try("nft list chain ip " + enforce.Table + " " + direction + "-default/web")
	if err != nil {
		return ""
	}
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, "return") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 1 { // the pod itself
		return "nothing"
	}
	return strings.Join(lines[1:], "\n")
}

func TestRefusals(t *testing.T) {
	for spec, want := range map[string]string{
		`{podSelector: {}, egress: [{}, {ports: [{port: 53}, {protocol: SCTP, port: 53}]}]}`:                                         "NetworkPolicy p: spec.egress[1].ports[1].protocol: SCTP is not covered, only TCP and UDP",
		`{podSelector: {}, policyTypes: [Both]}`:                                                                                     `NetworkPolicy p: spec.policyTypes[0]: "Both" is neither Ingress nor Egress`,
		`{podSelector: {}, ingress: [{from: [{}]}]}`:                                                                                 "NetworkPolicy p: spec.ingress[0].from[0]: a peer needs podSelector, namespaceSelector or ipBlock",
		`{podSelector: {}, ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}`:                                     "NetworkPolicy p: spec.ingress[0].from[0]: ipBlock cannot stand beside podSelector or namespaceSelector",
		`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: "fd00::/8"}}]}]}`:                                                         "NetworkPolicy p: spec.egress[0].to[0].ipBlock.cidr: fd00::/8: only IPv4 is covered",
		`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}`:                                  "NetworkPolicy p: spec.egress[0].to[0].ipBlock.except[0]: 11.0.0.0/16 is not inside of 10.0.0.0/8",
		`{podSelector: {}, egress: [{ports: [{port: 70000}]}]}`:                                                                      "NetworkPolicy p: spec.egress[0].ports[0].port: must be between 1 and 65535, inclusive",
		`{podSelector: {}, egress: [{ports: [{port: 90, endPort: 80}]}]}`:                                                            "NetworkPolicy p: spec.egress[0].ports[0].endPort: 80 is below port 90",
		`{podSelector: {}, egress: [{ports: [{port: http, endPort: 80}]}]}`:                                                          "NetworkPolicy p: spec.egress[0].ports[0].endPort: it needs a port that is a number",
		`{podSelector: {matchExpressions: [{key: app, operator: Like, values: [a]}]}}`:                                               `NetworkPolicy p: spec.podSelector: "Like" is not a valid label selector operator`,
		`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]}]}`: "NetworkPolicy p: spec.ingress[0].from[0].namespaceSelector: values: Invalid value: [\"b\"]: values set must be empty for exists and does not exist",
	} {
		g := NewWithT(t)
		var value any
		g.Expect(yaml.Unmarshal([]byte(spec), &value)).To(Succeed())
		text, err := json.Marshal(value)
		g.Expect(err).NotTo(HaveOccurred())
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
		g.Expect(json.Unmarshal(text, &p.Spec)).To(Succeed())
		errs := policy.Validate(p)
		g.Expect(errs).To(HaveLen(1), spec)
		g.Expect(errs[0].Error()).To(Equal(want))
	}
}
