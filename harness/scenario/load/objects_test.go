package load_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// TestWhatKubernetesRefuses: objects that the API server would refuse are refused where they stand, and such as it takes are not.
func TestWhatKubernetesRefuses(t *testing.T) {
	const (
		podAPI     = "{apiVersion: v1, kind: Pod, "
		deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: REPLICAS, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: LABEL}}, spec: {containers: [{name: main, image: relapse}]}}}}"
		service    = "{apiVersion: v1, kind: Service, metadata: {name: NAME}, spec: {SPEC}}"
		policy     = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {SELECTOR}, ingress: [{RULE}]}}"
	)
	with := func(text string, parts ...string) string { return strings.NewReplacer(parts...).Replace(text) }
	deployed := func(replicas, label string) string { return with(deployment, "REPLICAS", replicas, "LABEL", label) }
	served := func(name, spec string) string { return with(service, "NAME", name, "SPEC", spec) }
	allowed := func(selector, rule string) string { return with(policy, "SELECTOR", selector, "RULE", rule) }
	podOf := func(spec string) string { return podAPI + "metadata: {name: web}, spec: {" + spec + "}}" }
	long := strings.Repeat("a", 300)
	for name, test := range map[string]struct {
		object string
		want   string // an empty text where there is nothing to refuse
	}{
		"pod":                       {podOf("containers: [{name: main, image: relapse, ports: [{name: http, containerPort: 80}]}], dnsPolicy: None, dnsConfig: {nameservers: [10.96.0.10], searches: [a.b.], options: [{name: ndots, value: \"2\"}]}"), ""},
		"deployment":                {deployed("0", "web"), ""},
		"service":                   {served("web", "selector: {app: web}, ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53, targetPort: dns}]"), ""},
		"headless":                  {served("web", "clusterIP: None, selector: {app: web}"), ""},
		"policy":                    {allowed("matchLabels: {a: b}", "from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90}, {port: http}]"), ""},
		"another kind of API":       {"{apiVersion: apps/v1, kind: Pod, metadata: {name: web}}", `workload[1].apiVersion: must be v1 for a Pod, found "apps/v1"`},
		"name with a slash":         {podAPI + "metadata: {name: a/b}, spec: {containers: [{name: main, image: relapse}]}}", `workload[1].metadata.name: Invalid value: "a/b": a lowercase RFC 1123 label`},
		"name of two lines":         {podAPI + `metadata: {name: "a\nb"}, spec: {containers: [{name: main, image: relapse}]}}`, `workload[1].metadata.name: Invalid value: "a\nb"`},
		"long name":                 {podAPI + "metadata: {name: " + long + "}, spec: {containers: [{name: main, image: relapse}]}}", `workload[1].metadata.name: Invalid value: "` + long + `": must be no more than 63`},
		"namespace":                 {podAPI + "metadata: {name: a, namespace: a/b}, spec: {containers: [{name: main, image: relapse}]}}", `workload[1].metadata.namespace: Invalid value: "a/b"`},
		"label":                     {podAPI + `metadata: {name: a, labels: {app: "a b"}}, spec: {containers: [{name: main, image: relapse}]}}`, `workload[1].metadata.labels: Invalid value: "a b"`},
		"no container":              {podOf("containers: []"), `workload[1].spec.containers: Required value`},
		"containers of one name":    {podOf("containers: [{name: a, image: relapse}, {name: a, image: relapse}]"), `workload[1].spec.containers[1].name: Duplicate value: "a"`},
		"container port 0":          {podOf("containers: [{name: a, image: relapse, ports: [{containerPort: 0}]}]"), `workload[1].spec.containers[0].ports[0].containerPort: Invalid value: 0: must be between 1 and 65535`},
		"container port too large":  {podOf("containers: [{name: a, image: relapse, ports: [{containerPort: 99999}]}]"), `containerPort: Invalid value: 99999`},
		"port names twice":          {podOf("containers: [{name: a, image: relapse, ports: [{name: x, containerPort: 1}, {name: x, containerPort: 2}]}]"), `ports[1].name: Duplicate value: "x"`},
		"name server":               {podOf("containers: [{name: a, image: relapse}], dnsConfig: {nameservers: [one]}"), `workload[1].spec.dnsConfig.nameservers[0]: Invalid value: "one": must be a valid IP address`},
		"policy of names":           {podOf("containers: [{name: a, image: relapse}], dnsPolicy: Mine"), `workload[1].spec.dnsPolicy: Unsupported value: "Mine"`},
		"unknown field":             {podOf("contaners: []"), `workload[1].spec.contaners: unknown field "spec.contaners" of this kind of object`},
		"case of a field":           {podOf("Containers: []"), `workload[1].spec.Containers: unknown field`},
		"text for a number":         {served("web", "selector: {a: b}, ports: [{port: http}]"), `workload[1]: json: cannot unmarshal string`},
		"number too large for port": {served("web", "selector: {a: b}, ports: [{port: 99999999999}]"), `workload[1]: json: cannot unmarshal number`},
		"negative replicas":         {deployed("-1", "web"), `workload[1].spec.replicas: Invalid value: -1`},
		"selects none of its pods":  {deployed("1", "other"), `workload[1].spec.template.metadata.labels: Invalid value: "app=other": selector does not match template labels`},
		"service name":              {served("1web", "ports: [{port: 80}]"), `workload[1].metadata.name: Invalid value: "1web": a DNS-1035 label`},
		"no port":                   {served("web", "selector: {a: b}"), `workload[1].spec.ports: Required value`},
		"port 0":                    {served("web", "ports: [{port: 0}]"), `workload[1].spec.ports[0].port: Invalid value: 0`},
		"port -1":                   {served("web", "ports: [{port: -1}]"), `workload[1].spec.ports[0].port: Invalid value: -1`},
		"port 99999":                {served("web", "ports: [{port: 80, targetPort: 99999}]"), `workload[1].spec.ports[0].targetPort: Invalid value: 99999`},
		"target name":               {served("web", "ports: [{port: 80, targetPort: a_b}]"), `workload[1].spec.ports[0].targetPort: Invalid value: "a_b"`},
		"ports without names":       {served("web", "ports: [{port: 80}, {port: 81}]"), `workload[1].spec.ports[0].name: Required value`},
		"one port twice":            {served("web", "ports: [{name: a, port: 80}, {name: b, port: 80, protocol: TCP}]"), `workload[1].spec.ports[1].port: Duplicate value: 80`},
		"protocol":                  {served("web", "ports: [{port: 80, protocol: tcp}]"), `workload[1].spec.ports[0].protocol: Unsupported value: "tcp"`},
		"cluster address":           {served("web", "clusterIP: 10.96.0, ports: [{port: 80}]"), `workload[1].spec.clusterIP: Invalid value: "10.96.0": must be a valid IP address`},
		"node port":                 {served("web", "type: NodePort, externalTrafficPolicy: Local, internalTrafficPolicy: Local, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}, ports: [{port: 80, nodePort: 30080}]"), ""},
		"load balancer":             {served("web", "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], allocateLoadBalancerNodePorts: false, externalTrafficPolicy: Local, healthCheckNodePort: 30000, ports: [{port: 80}]"), ""},
		"node port of a ClusterIP":  {served("web", "ports: [{port: 80, nodePort: 30080}]"), "workload[1].spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
		"node port out of range":    {served("web", "type: NodePort, ports: [{port: 80, nodePort: 8080}]"), `workload[1].spec.ports[0].nodePort: Invalid value: 8080`},
		"node port twice":           {served("web", "type: NodePort, ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 81, nodePort: 30080}]"), `workload[1].spec.ports[1].nodePort: Duplicate value: 30080`},
		"headless with node ports":  {served("web", "type: NodePort, clusterIP: None"), `workload[1].spec.clusterIP: Invalid value: "None"`},
		"external IP":               {served("web", "externalIPs: [127.0.0.1], ports: [{port: 80}]"), `workload[1].spec.externalIPs[0]: Invalid value: "127.0.0.1"`},
		"external policy":           {served("web", "externalTrafficPolicy: Local, ports: [{port: 80}]"), `workload[1].spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`},
		"external policy's name":    {served("web", "type: NodePort, externalTrafficPolicy: local, ports: [{port: 80}]"), `workload[1].spec.externalTrafficPolicy: Unsupported value: "local"`},
		"internal policy's name":    {served("web", "internalTrafficPolicy: local, ports: [{port: 80}]"), `workload[1].spec.internalTrafficPolicy: Unsupported value: "local"`},
		"health check":              {served("web", "type: NodePort, healthCheckNodePort: 30000, ports: [{port: 80}]"), `workload[1].spec.healthCheckNodePort: Invalid value: 30000`},
		"source ranges":             {served("web", "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0], ports: [{port: 80}]"), `workload[1].spec.loadBalancerSourceRanges[0]: Invalid value: "10.0.0.0"`},
		"source ranges of a port":   {served("web", "type: NodePort, loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]"), `workload[1].spec.loadBalancerSourceRanges: Forbidden`},
		"node ports of no balancer": {served("web", "allocateLoadBalancerNodePorts: false, ports: [{port: 80}]"), `workload[1].spec.allocateLoadBalancerNodePorts: Forbidden`},
		"affinity without affinity": {served("web", "sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}, ports: [{port: 80}]"), `workload[1].spec.sessionAffinityConfig: Forbidden`},
		"affinity without end":      {served("web", "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 90000}}, ports: [{port: 80}]"), `workload[1].spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000`},
		"CIDR":                      {allowed("", "from: [{ipBlock: {cidr: 10.0.0.0/33}}]"), `workload[1].spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0/33"`},
		"exception":                 {allowed("", "from: [{ipBlock: {cidr: 10.0.0.0/8, except: [here]}}]"), `ipBlock.except[0]: Invalid value: "here"`},
		"policy's port":             {allowed("", "ports: [{port: 70000}]"), `workload[1].spec.ingress[0].ports[0].port: Invalid value: 70000`},
		"ports upside down":         {allowed("", "ports: [{port: 80, endPort: 70}]"), `ports[0].endPort: Invalid value: 70: must be greater than or equal to port`},
		"empty peer":                {allowed("", "from: [{}]"), `workload[1].spec.ingress[0].from[0]: Required value`},
		"operator":                  {allowed("matchExpressions: [{key: a, operator: Is}]", ""), `workload[1].spec.podSelector.matchExpressions[0].operator: Invalid value: "Is"`},
		"key of a ConfigMap":        {"{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a/b: c}}", `Invalid value: "a/b": a valid config key`},
		"namespace's name":          {"{apiVersion: v1, kind: Namespace, metadata: {name: A}}", `workload[1].metadata.name: Invalid value: "A"`},
		"one name twice":            {podAPI + "metadata: {name: client, namespace: default}, spec: {containers: [{name: main, image: relapse}]}}", `workload[1].metadata.name: there is another Pod "client"`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := load.Parse("objects.yaml", []byte(minimal(t, pod, pod+"\n  - "+test.object)), catalogue.All())
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(And(ContainSubstring(test.want), ContainSubstring("objects.yaml:14:"))))

			// An object that is applied later is checked in the same way.
			if name != "one name twice" {
				later := minimal(t, "sysctl: {key: net.ipv4.ip_forward, value: \"0\"}", "kubernetes-object: {object: "+test.object+"}", "changes:\n        - on: nodes", "changes:\n        - on: cluster")
				_, err = load.Parse("objects.yaml", []byte(later), catalogue.All())
				g.Expect(err).To(MatchError(ContainSubstring(strings.Replace(test.want, "workload[1]", "variants[0].fault.changes[0].kubernetes-object.object", 1))))
			}
		})
	}
}
