package provision

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

// kindConfig is the configuration for kind.
func (m *maker) kindConfig() *v1alpha4.Cluster {
	s := m.Spec
	config := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
		Name:     s.Name,
		Networking: v1alpha4.Networking{
			IPFamily: v1alpha4.IPv4Family, PodSubnet: PodCIDR, ServiceSubnet: ServiceCIDR, APIServerAddress: "127.0.0.1",
			// The engine chooses a free port: kind could choose the same port for two clusters that are made at once. But the engine chooses
			// another port when it restarts the node, so for a kept cluster kind chooses.
			APIServerPort:     -1,
			DisableDefaultCNI: !m.plugin.ByKind, KubeProxyMode: v1alpha4.ProxyMode(s.Proxy),
		},
		KubeadmConfigPatches: m.patches(),
	}
	if s.Stay {
		config.Networking.APIServerPort = 0
	}
	config.Nodes = append(config.Nodes, v1alpha4.Node{Role: v1alpha4.ControlPlaneRole, Image: s.Image})
	for range s.Nodes - 1 {
		config.Nodes = append(config.Nodes, v1alpha4.Node{Role: v1alpha4.WorkerRole, Image: s.Image})
	}
	return config
}

// proxyPatch makes kube-proxy serve its metrics on the node's address, so that the API server can read when it synchronized. It also
// restores kubeadm's strict conntrack: kind sets tcpBeLiberal, the cure for segments outside the window.
// Source: sigs.k8s.io/kind pkg/cluster/internal/kubeadm/config.go.
const proxyPatch = "kind: KubeProxyConfiguration\nmetricsBindAddress: 0.0.0.0:10249\nconntrack: {maxPerCore: 0, tcpBeLiberal: false}\n"

// patches are the patches to kubeadm's configuration.
func (m *maker) patches() []string {
	var kubelet strings.Builder
	kubelet.WriteString("kind: KubeletConfiguration\n")
	minor := 0
	if v := parseVersion(m.version); v != nil {
		minor = v[1]
	} else {
		_, _ = fmt.Sscanf(m.version, "v1.%d", &minor) // an unknown version counts as old
	}
	if m.cgroups == "1" && minor >= 31 {
		kubelet.WriteString("failCgroupV1: false\n")
	}
	// Restart an ended container at once, not after minutes.
	if minor >= 32 {
		kubelet.WriteString("crashLoopBackOff: {maxContainerRestartPeriod: 1s}\n")
		if minor < 35 {
			kubelet.WriteString("featureGates: {KubeletCrashLoopBackOffMax: true}\n")
		}
	}
	patches := []string{kubelet.String(), proxyPatch}
	if m.Spec.Nodes > 1 {
		// Pods may run on the control plane too. If it is the only node, kind itself removes the taint, and fails if there is none.
		patches = append(patches, "kind: InitConfiguration\nnodeRegistration: {taints: []}\n")
	}
	return patches
}
