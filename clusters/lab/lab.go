// Package lab makes clusters out of network namespaces on this machine: no container engine, no image to pull. Every
// namespace belongs to an agent, nothing has a name outside the run, and all is gone when the agents die.
package lab

import (
	"context"
	"debug/buildinfo"
	"maps"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/offers"

	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/local"
)

// Lab is the provider.
type Lab struct {
	// Bin is the folder of relapse-agent, relapse-kube-proxy and relapse-coredns.
	Bin string
}

// New returns a Lab whose programs lie beside the program that is running, or in the folder that RELAPSE_BIN names.
func New() (*Lab, error) {
	bin, err := local.FindPrograms("the lab", "relapse-agent", "relapse-kube-proxy", "relapse-coredns")
	if err != nil {
		return nil, err
	}
	return &Lab{Bin: bin}, nil
}

// Name is lab.
func (l *Lab) Name() string { return "lab" }

// Check refuses what the lab does not understand.
func (l *Lab) Check(objects [][]byte) []error {
	var errs []error
	for _, object := range objects {
		errs = append(errs, unsupported(object)...)
	}
	if len(errs) > 0 {
		return errs
	}
	w, err := parse(objects)
	if err != nil {
		return []error{err}
	}
	return w.check(maxNodes)
}

// maxNodes is the schema's maximum of topology.nodes.
const maxNodes = 9

// Offers are the kernel's, and the programs that pods can run.
func (l *Lab) Offers(ctx context.Context) (map[string]offers.Offer, error) {
	found, err := local.Offers(ctx, l.Bin)
	if err != nil {
		return nil, err
	}
	for _, name := range images.Names() {
		found[name] = images.Offer(name)
	}
	found["network-policy"] = offers.Offer{OK: true, Why: "the lab enforces them by rules of its own"}
	found["policies-ignored"] = offers.Offer{Why: "the lab enforces NetworkPolicies; use --cluster kind --cni flannel"}
	found["policy-log"] = offers.Offer{OK: found["nflog"].OK, Why: "the lab's rules log packets by NFLOG"}
	found["policy-keeps-connections"] = offers.Offer{OK: true, Why: "the lab's rules accept established connections first"}
	found["cni-drops-invalid"] = offers.Offer{Why: "the lab's rules do not"}
	maps.Copy(found, offers.Path(false))
	found["calico"] = offers.Offer{Why: "the lab makes its network itself; use --cluster kind --cni calico"}
	found["pod-bridge"] = offers.Offer{OK: true, Why: "pods of the lab are ports of cni0"}
	found["rp-filter-off"] = offers.Offer{OK: true, Why: "new network namespaces have rp_filter=0"}
	found["pod-networks-in-order"] = offers.Offer{OK: true, Why: "the lab gives the nodes their pod networks in order"}
	found["pod-routes"] = offers.Offer{OK: true, Why: "the lab makes the network that topology.podNetwork asks for"}
	found["pod-overlay"] = found["vxlan"]
	found["coredns-pods"] = offers.Offer{OK: true, Why: "every pod of the lab has an agent"}
	found["host-local"] = offers.Offer{Why: "the lab gives addresses itself; use --cluster kind"}
	found["external-addresses"] = offers.Offer{OK: true, Why: "the outside sends what goes to 198.51.100.0/24 to the first node"}
	found["many-services"] = offers.Offer{OK: true, Why: "the lab has no API server that would have to take them"}
	found["proxy-frozen"] = offers.Offer{OK: true, Why: "a frozen kube-proxy hears of changes when it goes on"}
	found["proxy-mode"] = offers.Offer{OK: true, Why: "the lab starts kube-proxy itself"}
	found["kubernetes"] = offers.Offer{Why: "the lab has no API server; use --cluster kind"}
	return found, nil
}

// Open has nothing to make: every cluster of the lab is one of its own.
func (l *Lab) Open(context.Context) error { return nil }

// Close has nothing to take away.
func (l *Lab) Close(context.Context) error { return nil }

// AtOnce is 0: as many as the machine bears.
func (l *Lab) AtOnce() int { return 0 }

// Whole is false: each lane has a cluster of its own.
func (l *Lab) Whole([][]byte) bool { return false }

// Versions of what the lab's clusters run.
func (l *Lab) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{}
	for name, argv := range map[string][]string{
		"nft": {"nft", "--version"}, "iptables": {"iptables", "--version"}, "glibc": {"getconf", "GNU_LIBC_VERSION"},
	} {
		output, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
		if err != nil {
			continue // a program that is missing has no version
		}
		versions[name] = strings.TrimSpace(string(output))
	}
	for name, module := range map[string]string{"kube-proxy": "k8s.io/kubernetes", "coredns": "github.com/coredns/coredns"} {
		info, err := buildinfo.ReadFile(filepath.Join(l.Bin, "relapse-"+name))
		if err != nil {
			continue // as above
		}
		if i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module }); i >= 0 {
			versions[name] = info.Deps[i].Version
		}
	}
	for _, name := range images.Names() {
		if version := images.Version(ctx, name); version != "" {
			versions[name] = version
		}
	}
	return versions
}

// Differences says how the lab differs from a cluster in production.
func (l *Lab) Differences() []string {
	return []string{
		"There is no API server, scheduler or kubelet: the lab computes endpoints itself and tells kube-proxy and CoreDNS the result.",
		"kube-proxy's proxier code runs as a process in each node's network namespace, without kube-proxy's own command, health or metrics ports; its synchronization is not delayed.",
		"CoreDNS has the plugins of kubeadm's Corefile except health, ready and reload; a stand-in for the API server runs in its pod. If CoreDNS ends, it is started anew a second later, and its endpoints stay meanwhile.",
		"Pods are network, mount, process and host-name namespaces without images or cgroups; their program is relapse's own, or the machine's nginx, HAProxy, Envoy or Node.js.",
		"All nodes share this machine's kernel, so nf_conntrack_max, the conntrack hash table and neighbour limits are common to them, as on kind.",
		"Network policies are compiled by relapse and enforced by nftables rules of its own where a node forwards packets, after kube-proxy's DNAT, as CNI plugins on iptables do; packets of connections that are open pass.",
		"Load balancers of Services are imitated: the outside sends what goes to their addresses, or to externalIPs in 198.51.100.0/24, to the first node.",
		"IPv4 only. A changed dnsConfig rewrites the pod's resolv.conf in place, where a cluster would make new pods.",
	}
}
