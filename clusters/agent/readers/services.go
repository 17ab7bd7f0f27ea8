package readers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/tool"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

// servicesKeys are the numbers of services.
var servicesKeys = units.Keys{
	"refused":         {Means: "UDP ports of the Service that the rules refuse, because it has no endpoints", Kind: units.Gauge},
	"stale":           {Means: "conntrack entries of flows to those, which no rule sees any more", Kind: units.Gauge},
	"stale-unreplied": {Means: "those of them that never had an answer", Kind: units.Gauge},
}

// serviceAddress checks the part of the reader's name after the slash.
func serviceAddress(text string) error {
	if address, err := netip.ParseAddr(text); err != nil || !address.Is4() {
		return fmt.Errorf("services/%s: write the IPv4 address of a Service, as in services/10.96.0.10", text)
	}
	return nil
}

// services reads the UDP ports of a Service in kube-proxy's rules and the node's conntrack table side by side.
func services(ctx context.Context, service string, _ []string) (map[string]float64, error) {
	refused, err := refusedByKubeProxy(ctx)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(refused, func(at netip.AddrPort, _ bool) bool { return at.Addr().String() != service })
	table, err := ctnetlink.Open()
	if err != nil {
		return nil, err
	}
	defer table.Close()
	entries, err := table.List(ctx, ctnetlink.Filter{Proto: unix.IPPROTO_UDP})
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"refused": float64(len(refused)), "stale": 0, "stale-unreplied": 0}
	for _, e := range entries {
		if !refused[e.Orig.Dst] {
			continue
		}
		values["stale"]++
		if e.Status&ctnetlink.SeenReply == 0 {
			values["stale-unreplied"]++
		}
	}
	return values, nil
}

// refusedByKubeProxy lists the IPv4 addresses and UDP ports of Services without endpoints, in whichever mode kube-proxy runs.
func refusedByKubeProxy(ctx context.Context) (map[netip.AddrPort]bool, error) {
	refused, err := refusedByNFTables()
	if !errors.Is(err, unix.ENOENT) {
		return refused, err
	}
	output, err := tool.Network(ctx, "iptables-save", "-t", "filter").Output()
	if err != nil {
		return nil, fmt.Errorf("iptables-save -t filter: %w", err)
	}
	return refusedByIPTables(string(output)), nil
}

// refusedByNFTables reads the map by which kube-proxy refuses. Source: Kubernetes pkg/proxy/nftables/proxier.go
// (noEndpointServicesMap, kubeProxyTable). Each part of a key is padded to four bytes.
func refusedByNFTables() (map[netip.AddrPort]bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "kube-proxy"}
	set, err := conn.GetSetByName(table, "no-endpoint-services")
	if err != nil {
		return nil, fmt.Errorf("nftables: map no-endpoint-services of kube-proxy: %w", err)
	}
	elements, err := conn.GetSetElements(set)
	if err != nil {
		return nil, fmt.Errorf("nftables: map no-endpoint-services of kube-proxy: %w", err)
	}
	refused := map[netip.AddrPort]bool{}
	for _, e := range elements {
		if key := e.Key; len(key) == 12 && key[4] == unix.IPPROTO_UDP {
			refused[netip.AddrPortFrom(netip.AddrFrom4([4]byte(key[:4])), uint16(key[8])<<8|uint16(key[9]))] = true
		}
	}
	return refused, nil
}

// refusal is a rule of kube-proxy's for an address of a Service without endpoints. Source: Kubernetes pkg/proxy/iptables/proxier.go.
var refusal = regexp.MustCompile(`(?m)^-A KUBE-SERVICES -d ([\d.]+)/32 -p udp .*has no endpoints.* --dport (\d+) -j REJECT`)

func refusedByIPTables(rules string) map[netip.AddrPort]bool {
	refused := map[netip.AddrPort]bool{}
	for _, rule := range refusal.FindAllStringSubmatch(rules, -1) {
		if address, err := netip.ParseAddrPort(rule[1] + ":" + rule[2]); err == nil {
			refused[address] = true
		}
	}
	return refused
}
