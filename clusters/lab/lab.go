// Package lab makes clusters out of network namespaces on this machine: no container engine, no image to pull. Every
// namespace belongs to an agent, nothing has a name outside the run, and all is gone when the agents die.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/lab/netconf"
	"github.com/relapse-k8s/relapse/clusters/lab/sandbox"
	"github.com/relapse-k8s/relapse/harness/agent"
)

// Lab is the provider.
type Lab struct {
	// Bin is the folder of relapse-agent, relapse-kube-proxy and relapse-coredns.
	Bin string
}

// New returns a Lab whose programs lie beside the program that is running, or where RELAPSE_BIN says.
func New() (*Lab, error) {
	bin := os.Getenv("RELAPSE_BIN")
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		bin = filepath.Dir(self)
	}
	for _, name := range []string{"relapse-agent", "relapse-kube-proxy", "relapse-coredns"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("the lab needs the program %s: %w; make build makes it", name, err)
		}
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

// Offers starts an agent in namespaces of its own and lets it try.
func (l *Lab) Offers(ctx context.Context) (map[string]clusters.Offer, error) {
	logs, err := os.MkdirTemp("", "relapse-offers-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(logs)
	p, err := l.start("offers", sandbox.WiringNamespaces, logs, nil, "wiring")
	if err != nil {
		return nil, err
	}
	offers, err := netconf.ProbeOffers.Call(ctx, p.conn, agent.None{}, nil)
	if err = errors.Join(err, p.end(ctx)); err != nil {
		log, _ := os.ReadFile(filepath.Join(logs, "offers.log"))
		return nil, fmt.Errorf("finding out what this machine offers: %w\n%s", err, log)
	}
	for _, name := range images.Names() {
		offers[name] = images.Offer(name)
	}
	offers["kernel-log"] = kernelLog()
	offers["host-conntrack-max"] = hostConntrackMax()
	return offers, nil
}

func kernelLog() clusters.Offer {
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY, 0)
	if err != nil {
		return clusters.Offer{Why: fmt.Sprintf("%v; run as root", err)}
	}
	log.Close()
	return clusters.Offer{OK: true, Why: "/dev/kmsg can be read"}
}

func hostConntrackMax() clusters.Offer {
	file, err := os.OpenFile("/proc/sys/net/netfilter/nf_conntrack_max", os.O_WRONLY, 0)
	if err != nil {
		return clusters.Offer{Why: fmt.Sprintf("%v; run as root on the machine itself", err)}
	}
	file.Close()
	return clusters.Offer{OK: true, Why: "it can be written; scenarios do so only with --allow-host-changes"}
}

// Versions of what the lab's clusters run.
func (l *Lab) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{}
	for name, argv := range map[string][]string{
		"nft": {"nft", "--version"}, "iptables": {"iptables", "--version"}, "glibc": {"getconf", "GNU_LIBC_VERSION"},
		"kube-proxy": {filepath.Join(l.Bin, "relapse-kube-proxy"), "--version"},
		"coredns":    {filepath.Join(l.Bin, "relapse-coredns"), "--version"},
	} {
		output, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
		if err != nil {
			continue // a program that is missing has no version
		}
		versions[name] = strings.TrimSpace(string(output))
	}
	for _, name := range images.Names() {
		if version := images.Version(ctx, name); version != "" {
			versions[name] = version
		}
	}
	return versions
}

// Differences says where the lab is not a cluster.
func (l *Lab) Differences() []string {
	return []string{
		"There is no API server, scheduler or kubelet: the lab computes endpoints itself and tells kube-proxy and CoreDNS the result.",
		"kube-proxy's proxier code runs as a process in each node's network namespace, without kube-proxy's own command, health or metrics ports; its synchronization is not delayed.",
		"CoreDNS has the plugins of kubeadm's Corefile except health, ready and prometheus; a stand-in for the API server runs in its pod.",
		"Pods are network, mount, process and host-name namespaces without images or cgroups; their program is relapse's own, or the machine's nginx, HAProxy, Envoy or Node.js.",
		"All nodes share this machine's kernel, so nf_conntrack_max, the conntrack hash table and neighbour limits are common to them, as on kind.",
		"Network policies are compiled by relapse and enforced by nftables rules of its own where a node forwards packets, after kube-proxy's DNAT, as CNI plugins on iptables do; packets of connections that are open pass.",
		"IPv4 only. A changed dnsConfig rewrites the pod's resolv.conf in place, where a cluster would make new pods.",
	}
}
