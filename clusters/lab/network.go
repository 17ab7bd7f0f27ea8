package lab

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// everywhere keeps router solicitations and the like out of captures and counters, and lets programs bind ports below 1024 without
// capabilities, as container engines do.
var everywhere = map[string]string{
	"net.ipv6.conf.all.disable_ipv6?": "1", "net.ipv6.conf.default.disable_ipv6?": "1", "net.ipv4.ip_unprivileged_port_start": "0",
}

func sysctls(more map[string]string) map[string]string {
	all := maps.Clone(everywhere)
	maps.Copy(all, more)
	return all
}

// wiringConfig is the switch between the nodes.
func (c *cluster) wiringConfig() netconf.Config {
	config := netconf.Config{
		// A switch does not look at what it passes on.
		Sysctls: sysctls(map[string]string{"net.bridge.bridge-nf-call-iptables?": "0"}), Bridges: []string{"switch"},
		Links: []netconf.Link{{Name: "switch"}},
	}
	for i := range c.spec.Nodes + 1 {
		config.Links = append(config.Links, netconf.Link{Name: fmt.Sprintf("port%d", i+1), Master: "switch"})
	}
	return config
}

// outsideConfig is a host that knows the nodes and nothing of their pods. It leads external addresses of Services to the first node.
func (c *cluster) outsideConfig() netconf.Config {
	return netconf.Config{
		Sysctls: sysctls(nil),
		Links: []netconf.Link{
			{Name: "lo", Addresses: []string{outside.DNS + "/32", outside.Host + "/32"}},
			{Name: "eth0", Addresses: []string{outsideGateway + "/24"}},
		},
		Routes: []netconf.Route{{To: externalCIDR.String(), Via: nodeIP(0)}},
	}
}

// nodeConfig is a node as a CNI plugin sets it up: a bridge for the pods, routes or VXLAN to the other nodes, SNAT to the outside.
func (c *cluster) nodeConfig(n int) netconf.Config {
	config := netconf.Config{
		Sysctls: sysctls(map[string]string{
			"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables?": "1",
			"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.default.rp_filter": "0",
		}),
		Bridges: []string{"cni0"},
		Links: []netconf.Link{
			{Name: "eth0", Addresses: []string{nodeIP(n) + "/24"}},
			{Name: "cni0", Addresses: []string{bridgeIP(n) + "/24"}},
		},
		Routes:     []netconf.Route{{Via: outsideGateway}},
		Masquerade: podCIDR.String(),
	}
	for _, pod := range c.work.pods {
		if pod.Spec.NodeName == nodeNames(c.spec.Nodes)[n] {
			config.Links = append(config.Links, netconf.Link{Name: c.port(pod), Master: "cni0", Hairpin: true})
		}
	}
	overlay := c.spec.PodNetwork == "vxlan"
	if overlay {
		config.VXLAN = &netconf.VXLAN{Name: overlayName, ID: overlayID, Port: overlayPort, Local: nodeIP(n), MAC: overlayMAC(n)}
		config.Links = append(config.Links, netconf.Link{Name: overlayName, Addresses: []string{overlayIP(n) + "/32"}})
	}
	for other := range c.spec.Nodes {
		switch {
		case other == n:
		case overlay:
			config.Routes = append(config.Routes, netconf.Route{To: nodePods(other), Via: overlayIP(other), Link: overlayName, OnLink: true})
			config.Neighbours = append(config.Neighbours, netconf.Neighbour{Link: overlayName, IP: overlayIP(other), MAC: overlayMAC(other), VTEP: nodeIP(other)})
		default:
			config.Routes = append(config.Routes, netconf.Route{To: nodePods(other), Via: nodeIP(other)})
		}
	}
	return config
}

func (c *cluster) podConfig(pod *corev1.Pod) netconf.Config {
	n := slices.Index(nodeNames(c.spec.Nodes), pod.Spec.NodeName)
	return netconf.Config{
		Sysctls: sysctls(nil),
		Links:   []netconf.Link{{Name: "eth0", Addresses: []string{pod.Status.PodIP + "/24"}}},
		Routes:  []netconf.Route{{Via: bridgeIP(n)}},
	}
}
