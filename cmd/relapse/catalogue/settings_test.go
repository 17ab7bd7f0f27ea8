package catalogue_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// refused are settings and places of each change that would fail only in the middle of a run: on, settings, and what is said.
var refused = map[string][][3]string{
	"cni-config": {
		{"pod/client", "{name: a.conflist}", "it acts on node"},
		{"nodes", "{name: ../../x.conflist}", "must be lower case letters"},
		{"nodes", "{name: a.conf}", "with .conflist at the end"},
		{"nodes", "{name: a.conflist, subnet: 8.8.8.0/24}", "must be a private IPv4 range"},
		{"nodes", "{name: a.conflist, subnet: 10.0.0.1/24}", "must be a private IPv4 range"},
		{"nodes", "{name: a.conflist, subnet: 10.0.0.0/30}", "must be a private IPv4 range"},
	},
	"cni-config-away": {{"pod/client", "{}", "cni-config-away cannot be made on pod/client: it acts on node"}},
	"cni-config-back": {{"outside", "{}", "it acts on node"}},
	"connection-flood": {
		{"nodes", `{to: "web", rate: 1}`, `"web" is not host:port, such as web:80`},
		{"nodes", `{to: ":80", rate: 1}`, `is not host:port`},
		{"nodes", `{to: "web:0", rate: 1}`, `port "0" must be from 1 to 65535`},
		{"nodes", `{to: "web:-1", rate: 1}`, `port "-1" must be from 1 to 65535`},
		{"nodes", `{to: "[::1]:80", rate: 1}`, `to: "::1" is neither a name nor an IPv4 address`},
		{"nodes", `{to: "a b:80", rate: 1}`, `to: "a b" is neither a name`},
		{"host", `{to: "web:80", rate: 1}`, "connection-flood cannot be made on host"},
	},
	"conntrack-flush":  {{"nodes", "{protocol: udp, port: 0}", "port: must be at least 1"}, {"cluster", "{protocol: udp, port: 53}", "cannot be made on cluster"}},
	"conntrack-max":    {{"nodes", "{value: 10}", "conntrack-max cannot be made on nodes: it acts on host"}, {"host", "{value: 99999999999}", "value: must be at most 2147483647"}},
	"conntrack-occupy": {{"nodes", "{leave: -1}", "leave: must be at least 0"}, {"host", "{leave: 1}", "cannot be made on host"}},
	"coredns-config": {
		{"nodes", "{corefile: x}", "it acts on cluster"},
		{"cluster", "{}", "give either corefile or plugins"},
		{"cluster", `{corefile: ".:53 {", }`, "corefile: braces must be in pairs"},
		{"cluster", `{plugins: {forward: "cache 30"}}`, "plugins.forward: the text must begin with forward"},
		{"cluster", `{plugins: {cache: "cache {"}}`, "plugins.cache: braces must be in pairs"},
		{"cluster", `{plugins: {"a b": ""}}`, `plugins: "a b" is not the name of a plugin`},
	},
	"delete-pods": {
		{"cluster", "{namespace: a/b, selector: a=b}", "namespace: a lowercase RFC 1123 label"},
		{"cluster", `{namespace: a, selector: "a b"}`, `selector: "a b" is not a selector of labels`},
		{"nodes", "{namespace: a, selector: a=b}", "cannot be made on nodes: it acts on cluster"},
	},
	"free-leases": {{"pod/client", "{}", "it acts on node"}},
	"packets": {
		{"nodes", "{at: input}", "exactly one of allow, drop, limit, delay, duplicate and corrupt"},
		{"nodes", "{at: input, drop: 1%, limit: 5}", "exactly one of allow, drop, limit, delay, duplicate and corrupt"},
		{"nodes", "{at: input, delay: 9s, jitter: 2s}", "delay and jitter: must be at most 10s"},
		{"nodes", "{at: forward, duplicate: 100%}", "duplicate needs at: output or postrouting"},
		{"nodes", "{at: input, port: 53, drop: 100%}", "port and sourcePort need protocol: tcp or udp"},
		{"nodes", "{at: input, protocol: udp, flags: [syn], drop: 100%}", "flags are those of TCP"},
		{"nodes", "{at: input, protocol: udp, icmp: 3/4, drop: 100%}", "icmp needs protocol: icmp"},
		{"nodes", "{at: input, icmp: needed, drop: 100%}", `"needed" is neither a type`},
		{"nodes", "{at: input, from: 10.0.0.1, fromPod: client, drop: 100%}", "an address or a pod"},
		{"nodes", "{at: input, fromPod: nobody, drop: 100%}", `unknown pod "nobody"`},
		{"nodes", "{at: prerouting, state: new, drop: 100%}", "packets have no state yet"},
		{"nodes", `{at: input, to: "::1", drop: 100%}`, "to: "},
		{"host", "{at: input, drop: 100%}", "cannot be made on host"},
	},
	"pod-leases": {{"nodes", "{leave: -1}", "leave: must be at least 0"}, {"host", "{}", "it acts on node"}},
	"dns-config": {
		{"pod/client", "{options: []}", "options: must have at least 1 item"},
		{"pod/client", `{options: ["a b"]}`, "an option must be one word"},
		{"pod/client", `{options: ["a\nnameserver 10.0.0.1"]}`, "options: must be one line"},
		{"nodes", "{options: [rotate]}", "it acts on pod"},
	},
	"freeze":        {{"pod/client", "{program: man}", `freeze.program: unknown container "man": did you mean "main"?`}, {"nodes", "{program: a b}", "must be the name of a container or a process"}, {"host", "{program: sshd}", "it acts on node, pod"}},
	"resume":        {{"pod/client", "{program: man}", `resume.program: unknown container "man"`}, {"nodes", "{program: a b}", "must be the name of a container or a process"}},
	"hold-fin":      {{"pod/client", "{port: 70000}", "port: must be at most 65535"}, {"pod/client", "{port: 80, maxHold: 11s}", "maxHold: must be at most 10s"}, {"nodes", "{port: 80}", "it acts on pod, outside"}},
	"hold-pairs":    {{"nodes", "{protocol: udp, port: 53, last: client}", "last needs at: forward"}, {"nodes", "{protocol: udp, port: 53, maxWait: 1m}", "maxWait: must be at most 10s"}, {"host", "{protocol: udp, port: 53}", "cannot be made on host"}},
	"install-cni":   {{"nodes", "{}", "it acts on cluster"}},
	"many-services": {{"cluster", "{count: 0}", "count: must be at least 1"}, {"cluster", "{count: 50000}", "count: must be at most 30000"}, {"nodes", "{count: 1}", "it acts on cluster"}},
	"proxy-mode":    {{"cluster", "{mode: ipvs}", `"ipvs" must be one of`}, {"nodes", "{mode: iptables}", "it acts on cluster"}},
	"kubernetes-object": {
		{"cluster", "{object: {apiVersion: v1, kind: Service}}", "missing: object.metadata.name"},
		{"nodes", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: a}}}", "it acts on cluster"},
	},
	"link": {
		{"nodes", "{}", "give exactly one of mtu, mac, state, hairpin, address, addressOf"},
		{"nodes", "{mtu: 1400, state: down}", "give exactly one of mtu"},
		{"nodes", "{mtu: 100}", "mtu: must be at least 1280"},
		{"nodes", "{which: eth0, mtu: 1400}", `"eth0" must be one of`},
		{"nodes", "{which: overlay, portOf: client, mtu: 1400}", "give which or portOf, not both"},
		{"nodes", "{mtu: 1400, announce: true}", "announce needs address or addressOf"},
		{"nodes", "{hairpin: false}", "hairpin needs portOf"},
		{"nodes", "{portOf: other-pod, state: down}", `unknown pod "other-pod"`},
		{"nodes", `{mac: "01:00:5e:00:00:01"}`, "is not the address of one device"},
		{"nodes", `{address: "10.0.0.1"}`, "is not an IPv4 address with a prefix"},
		{"host", "{mtu: 1400}", "cannot be made on host"},
	},
	"log-drops": {{"nodes", "{protocol: tcp, port: 99999}", "port: must be at most 65535"}, {"pod/client", "{protocol: tcp, port: 80}", "it acts on node"}},
	"masquerade": {
		{"nodes", "{ports: kept, from: 10.244.0.0}", `from: "10.244.0.0" is not a CIDR`},
		{"nodes", `{ports: kept, from: "fd00::/8"}`, "from: fd00::/8 is not an IPv4 network"},
		{"nodes", "{ports: random}", `ports: "random" is neither kept nor`},
		{"nodes", "{ports: 5-1}", `ports: "5-1" is neither`},
		{"nodes", "{ports: kept, from: 10.244.0.1/16}", "from: 10.244.0.1/16 has bits behind its mask: write 10.244.0.0/16"},
	},
	"mss-clamp": {{"nodes", "{mss: 20}", "mss: must be at least 88"}, {"host", "{mss: 1300}", "cannot be made on host"}},
	"no-cni":    {{"nodes", "{}", "it acts on cluster"}},
	"neighbour": {
		{"nodes", "{forget: true}", "give address or pod"},
		{"nodes", `{address: "10.0.0.1", pod: client, forget: true}`, "give address or pod"},
		{"nodes", "{pod: client}", "give mac or forget"},
		{"nodes", `{pod: client, mac: "02:00:00:00:00:01", forget: true}`, "give mac or forget"},
		{"nodes", `{pod: client, mac: "ff:ff:ff:ff:ff:ff"}`, "is not the address of one device"},
		{"nodes", `{address: "fd00::1", forget: true}`, "is not an IPv4 address"},
	},
	"nodelocal-addresses": {{"pod/client", "{}", "it acts on node"}},
	"nodelocal-cache":     {{"nodes", "{upstream: dns}", `upstream: "dns" is not an IP address`}, {"nodes", `{upstream: "fd00::1"}`, "upstream: fd00::1 is not an IPv4 address"}},
	"nodelocal-dnscache":  {{"nodes", "{}", "it acts on cluster"}},
	"nothing":             {{"nodes", "{value: 1}", `unknown field "value"`}},
	"notrack":             {{"nodes", `{protocol: tcp, port: 80, addresses: [web]}`, `addresses: "web" is not an IP address`}, {"nodes", `{protocol: tcp, port: 80, addresses: ["::1"]}`, "addresses: ::1 is not an IPv4 address"}},
	"outside-dns": {
		{"nodes", "{names: [{name: a.example}]}", "it acts on outside"},
		{"outside", "{names: []}", "names: must have at least 1 item"},
		{"outside", `{names: [{name: "a b"}]}`, `names[0].name: "a b" is not a name`},
		{"outside", `{names: [{name: "a.example { }"}]}`, "is not a name"},
		{"outside", `{names: [{name: "*.a.example"}, {name: a.example}]}`, "names[1].name: a.example is given twice"},
		{"outside", "{names: [{name: a.example, addresses: [there]}]}", `names[0].addresses: "there" is not an IP address`},
		{"outside", "{names: [{name: a.example, addresses: [203.0.113.7], rcode: SERVFAIL}]}", "names[0].rcode: a name with addresses has none"},
		{"outside", "{names: [{name: a.example, silent: true, delay: 1s}]}", "names[0].silent: nothing else"},
		{"outside", "{names: [{name: a.example, delay: 11s}]}", "names[0].delay: must be at most 10s"},
	},
	"reorder": {{"nodes", "{port: 80, maxWait: 11s}", "maxWait: must be at most 10s"}, {"nodes", "{port: 80, distance: -1}", "distance: must be at least 1"}},
	"restart-client": {
		{"pod/client", "{probe: nothing}", `unknown probe "nothing"`},
		{"pod/other", "{probe: connect}", `probe "connect" runs in pod/client, not in pod/other`},
		{"nodes", "{probe: connect}", "it acts on pod"},
	},
	"restart-container": {
		{"pod/client", "{container: man, args: [pause]}", `restart-container.container: unknown container "man": did you mean "main"?`},
		{"pod/client", "{container: main}", "args or files are required"},
		{"pod/client", "{container: main, files: {nginx.conf: x}}", `unknown file "nginx.conf"`},
	},
	"route": {
		{"nodes", "{action: delete}", "give to or toPod"},
		{"nodes", "{action: delete, to: default, toPod: client}", "give to or toPod"},
		{"nodes", "{action: delete, to: default, exact: true}", "exact needs toPod"},
		{"nodes", "{action: delete, to: 10.244.0.1/16}", "has bits behind its mask"},
		{"nodes", "{action: replace, to: default}", "replace needs via or viaNodeOf"},
		{"nodes", `{action: replace, to: default, via: "fd00::1"}`, "via: fd00::1 is not an IPv4 address"},
		{"nodes", `{action: delete, to: default, via: "10.0.0.1"}`, "only replace has a next hop"},
		{"nodes", "{action: add, to: default}", `"add" must be one of`},
		{"host", "{action: delete, to: default}", "cannot be made on host"},
	},
	"slow-nfqueue": {
		{"nodes", "{at: input, length: 0}", "length: must be at least 1"},
		{"nodes", "{at: input, length: 1, port: 53}", "port and sourcePort need protocol"},
		{"host", "{at: input, length: 1}", "cannot be made on host"},
	},
	"stray-segment": {{"nodes", "{port: 80}", "it acts on pod, outside"}, {"pod/client", "{port: 80, offset: 4294967296}", "offset must be between"}},
	"sysctl": {
		{"nodes", `{key: kernel.hostname, value: "1"}`, "only settings under net. can be changed"},
		{"nodes", `{key: net.ipv4/../../kernel/hostname, value: "1"}`, "key: "},
		{"nodes", `{key: net.ipv4.ip_forward, value: ""}`, "value: must not be empty"},
		{"nodes", `{key: net.ipv4.ip_forward, value: "1\n2"}`, "value: must be one line"},
	},
}

// TestSettingsThatCannotBeMadeAreRefused: what would fail in the middle of a run fails when the file is loaded. Each change has a row.
func TestSettingsThatCannotBeMadeAreRefused(t *testing.T) {
	text, err := os.ReadFile("../../../harness/scenario/load/testdata/valid/minimal.yaml")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	const change = "        - on: nodes\n          sysctl: {key: net.ipv4.ip_forward, value: \"0\"}\n"
	const pod = "  - {apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {containers: [{name: main, image: relapse}]}}\n"
	NewWithT(t).Expect(string(text)).To(And(ContainSubstring(change), ContainSubstring(pod)))
	for name := range catalogue.All().Changes {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(refused[name]).NotTo(BeEmpty(), "give settings that the change refuses")
			places := catalogue.All().Places[name]
			g.Expect(places).NotTo(BeEmpty(), "the catalogue must say where the change can be made")
			for _, place := range places {
				g.Expect(slices.Contains([]string{"node", "pod", "outside", "host", "cluster"}, place)).To(BeTrue(), place)
			}
			for _, row := range refused[name] {
				step := fmt.Sprintf("        - {on: %s, id: sysctl, %s: %s}\n", row[0], name, row[1])
				file := strings.NewReplacer(change, step, pod, pod+strings.Replace(pod, "client", "other", 1)).Replace(string(text))
				_, err := load.Parse("minimal.yaml", []byte(file), catalogue.All())
				g.Expect(err).To(MatchError(MatchRegexp(`(?s)minimal.yaml:2[0-9]:.*: variants\[0\].fault.changes\[0\].*`)), row[1])
				g.Expect(err).To(MatchError(ContainSubstring(row[2])), row[1])
			}
		})
	}
}
