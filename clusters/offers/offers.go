// Package offers names the features that a scenario may need and a cluster may offer.
package offers

// Offer says whether clusters on this machine have a feature.
type Offer struct {
	OK bool `json:"ok"`
	// Why says how that was found out. If OK is false, it says what is missing and how to get it.
	Why string `json:"why,omitempty"`
}

// Known lists every feature, with its meaning.
var Known = map[string]string{
	"nfqueue":                  "packets can be held in user space (NFQUEUE, by nft's queue statement or the xt target)",
	"nfqueue-counters":         "the depth and the drops of NFQUEUE's queues can be read (needs root outside any user namespace)",
	"conntrack":                "connection tracking can be read and written through ctnetlink in a node's namespace",
	"conntrack-clash-resolve":  "the kernel repairs a clash of two unconfirmed UDP entries and counts that in clash_resolve (5.10 and later)",
	"conntrack-late-segments":  "TCP segments from before the window are translated, and not INVALID (6.1 and later)",
	"conntrack-timeouts":       "conntrack time-outs can be set in a node's namespace",
	"bridge-netfilter":         "bridged packets pass iptables and nftables (br_netfilter)",
	"vxlan":                    "VXLAN devices can be made",
	"kernel-log":               "the kernel log can be read",
	"nflog":                    "packets can be logged to a program (NFLOG)",
	"kernel-log-rule":          "rules can log packets to the kernel log (nf_log_syslog)",
	"kernel-log-rule-silent":   "what a rule logs in a node's namespace does not get into the kernel log (net.netfilter.nf_log_all_netns=0)",
	"rp-filter-off":            "the nodes do not filter by the way back (rp_filter=0)",
	"proxy-iptables":           "kube-proxy runs in iptables mode",
	"proxy-nftables":           "kube-proxy runs in nftables mode",
	"network-policy":           "network policies are enforced",
	"policies-ignored":         "there are NetworkPolicies, and the CNI plugin does not enforce them",
	"policy-log":               "packets that network policies drop are logged, with the pod, the direction and the policy",
	"policy-keeps-connections": "a new network policy leaves open connections alone",
	"coredns-pods":             "CoreDNS's pods are places (pod/coredns), and their logs are read",
	"host-local":               "nodes give addresses to pods with the plugin host-local, from a range in their CNI configuration",
	"pod-netfilter":            "packets between pods pass netfilter and connection tracking on their nodes",
	"calico":                   "the CNI is Calico",
	"pod-bridge":               "the pods of a node are ports of one bridge",
	"pod-networks-in-order":    "the pods of node-N have addresses from 10.244.N.0/24",
	"pod-routes":               "with podNetwork: routes, nodes have a route to each other's pods, and no overlay",
	"pod-overlay":              "with podNetwork: vxlan, packets between pods of two nodes pass a VXLAN device",
	"cni-drops-invalid":        "the rules of the CNI drop INVALID packets of pods (Calico)",
	"drops-invalid":            "INVALID packets between pods are dropped, by kube-proxy's iptables mode or by the CNI",
	"pod-ebpf":                 "eBPF programs forward packets between pods and translate Services, past netfilter (Cilium)",
	"external-addresses":       "load balancers and externalIPs of Services in 198.51.100.0/24 are reached from the outside, through the first node",
	"many-services":            "thousands of Services can be made at once",
	"proxy-mode":               "kube-proxy can be started again in another mode",
	"proxy-frozen":             "Services can be changed while kube-proxy is frozen on a node",
	"kubernetes":               "there is an API server, a scheduler and a kubelet on each node",
	"nginx":                    "pods can run nginx",
	"haproxy":                  "pods can run HAProxy",
	"envoy":                    "pods can run Envoy",
	"node":                     "pods can run Node.js",
	"host-conntrack-max":       "nf_conntrack_max of the whole machine can be set (needs root outside any user namespace)",
}

// Path are the features that follow from how packets between pods get through their nodes.
func Path(ebpf bool) map[string]Offer {
	why := "bridges or routes, and kube-proxy's rules"
	if ebpf {
		why = "eBPF programs of the CNI"
	}
	return map[string]Offer{"pod-netfilter": {OK: !ebpf, Why: why}, "pod-ebpf": {OK: ebpf, Why: why}}
}

// Proxy are the features that follow from kube-proxy's mode, and from what the CNI does beside it.
func Proxy(mode string, cniDropsInvalid bool) map[string]Offer {
	all := map[string]Offer{}
	why := "kube-proxy runs in " + mode + " mode"
	if mode == "none" {
		why = "there is no kube-proxy"
	}
	for _, known := range []string{"iptables", "nftables"} {
		all["proxy-"+known] = Offer{OK: mode == known, Why: why}
	}
	all["drops-invalid"] = Offer{OK: mode == "iptables" || cniDropsInvalid, Why: why}
	if cniDropsInvalid {
		all["drops-invalid"] = Offer{OK: true, Why: "the CNI's rules do"}
	}
	return all
}
