package lab

import (
	"fmt"
	"net/netip"
)

// The lab's addresses. Nothing leads from them to the machine's own networks, so every lab has the same.
var (
	podCIDR     = netip.MustParsePrefix("10.244.0.0/16")
	serviceCIDR = netip.MustParsePrefix("10.96.0.0/12")
	// externalCIDR has the addresses of load balancers, and those that a Service can have as externalIPs to be reached from the outside, which
	// sends what goes there to the first node. It is reserved for documentation by RFC 5737.
	externalCIDR = netip.MustParsePrefix("198.51.100.0/24")
)

const (
	clusterDNS    = "10.96.0.10"
	clusterDomain = "cluster.local"
	// outsideGateway is the outside host on the nodes' network; beyond it are the addresses of package outside.
	outsideGateway = "192.168.77.1"
	// Overlay device, port and identifier as flannel has them.
	overlayName = "flannel.1"
	overlayPort = 8472
	overlayID   = 1
	// proxyMetrics is where kube-proxy serves its metrics on each node, as kubeadm has it.
	proxyMetrics = "127.0.0.1:10249"
)

// nodeIP is the address of the nth node (from 0) on the nodes' network.
func nodeIP(n int) string { return fmt.Sprintf("192.168.77.%d", 10+n) }

// nodePods is the nth node's share of the pods' addresses.
func nodePods(n int) string { return fmt.Sprintf("10.244.%d.0/24", n+1) }

// bridgeIP is the address of the nth node's bridge, the pods' gateway.
func bridgeIP(n int) string { return fmt.Sprintf("10.244.%d.1", n+1) }

// podIP is the address of the kth pod (from 0) of the nth node.
func podIP(n, k int) string { return fmt.Sprintf("10.244.%d.%d", n+1, k+2) }

// overlayMAC and overlayIP belong to the nth node's VXLAN device.
func overlayMAC(n int) string { return fmt.Sprintf("02:77:00:00:00:%02x", n+1) }
func overlayIP(n int) string  { return fmt.Sprintf("10.244.%d.0", n+1) }
