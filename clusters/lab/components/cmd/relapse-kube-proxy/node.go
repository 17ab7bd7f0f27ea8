package main

import (
	"context"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilsysctl "k8s.io/component-helpers/node/util/sysctl"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/proxy"
	proxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/conntrack"
	"k8s.io/kubernetes/pkg/proxy/healthcheck"
	"k8s.io/kubernetes/pkg/proxy/iptables"
	"k8s.io/kubernetes/pkg/proxy/nftables"
	proxyutil "k8s.io/kubernetes/pkg/proxy/util"
	utiliptables "k8s.io/kubernetes/pkg/util/iptables"
)

const (
	modeNFTables = "nftables"
	modeIPTables = "iptables"
)

// The values that kube-proxy's own configuration defaults to.
const (
	syncPeriod          = 30 * time.Second
	masqueradeBit       = 14
	tcpEstablished      = 24 * time.Hour
	tcpCloseWait        = time.Hour
	localhostNodePorts  = true
	masqueradeAll       = false
	noInitOnly          = false
	noMinimumSyncPeriod = 0 // kube-proxy waits 1 s between syncs; the lab wants every state in force at once
)

// node is kube-proxy on one node.
type node struct {
	name    string
	proxier proxy.Provider
	// health is never made to listen. The proxier tells it of every sync that succeeded, and of no other: so it is what
	// proves a sync. It also answers for Services with a healthCheckNodePort.
	health *healthcheck.ProxyHealthServer
}

// newNode prepares the namespace as kube-proxy does on its node, and makes the proxier.
func newNode(ctx context.Context, opts options) (*node, error) {
	if err := setSysctls(ctx); err != nil {
		return nil, err
	}
	if opts.cleanUp {
		cleanUp(ctx, opts.mode)
	}
	n := &node{name: opts.nodeName, health: healthcheck.NewProxyHealthServer("", 2*syncPeriod, nil)}
	detector := proxyutil.NewDetectLocalByCIDR(opts.clusterCIDR.String())
	nodeIP := net.IP(opts.nodeIP.AsSlice())
	// As --nodeport-addresses defaults to: the node's primary address in nftables mode, every address in iptables mode.
	onlyNodeIP, everyIP := []string{opts.nodeIP.String() + "/32"}, []string(nil)

	var err error
	switch opts.mode {
	case modeNFTables:
		n.proxier, err = nftables.NewProxier(ctx, corev1.IPv4Protocol, syncPeriod, noMinimumSyncPeriod, masqueradeAll,
			masqueradeBit, detector, opts.nodeName, nodeIP, nil, n.health, onlyNodeIP, noInitOnly)
	case modeIPTables:
		ipt := utiliptables.New(utiliptables.ProtocolIPv4)
		if err := ipt.Present(); err != nil {
			return nil, fmt.Errorf("iptables is not usable here: %w", err)
		}
		n.proxier, err = iptables.NewProxier(ctx, corev1.IPv4Protocol, ipt, utilsysctl.New(), syncPeriod,
			noMinimumSyncPeriod, masqueradeAll, localhostNodePorts, masqueradeBit, detector, opts.nodeName, nodeIP, nil,
			n.health, everyIP, noInitOnly)
	}
	if err != nil {
		return nil, fmt.Errorf("%s proxier for node %s: %w", opts.mode, opts.nodeName, err)
	}
	if opts.serviceCIDR.IsValid() {
		n.proxier.OnServiceCIDRsChanged([]string{opts.serviceCIDR.String()})
	}
	return n, nil
}

// cleanUp removes the rules of the other mode. What cannot be removed is in the log, and no error, as with kube-proxy.
func cleanUp(ctx context.Context, mode string) {
	if mode == modeNFTables {
		iptables.CleanupLeftovers(ctx)
	} else {
		nftables.CleanupLeftovers(ctx)
	}
}

// setSysctls has kube-proxy's own code set the conntrack time-outs, which belong to this namespace. The table's limit is
// left out (MaxPerCore 0): it belongs to the whole machine.
func setSysctls(ctx context.Context) error {
	leaveTheLimitAlone := int32(0)
	err := conntrack.SetSysctls(ctx, &proxyconfig.KubeProxyConntrackConfiguration{
		MaxPerCore:            &leaveTheLimitAlone,
		TCPEstablishedTimeout: &metav1.Duration{Duration: tcpEstablished},
		TCPCloseWaitTimeout:   &metav1.Duration{Duration: tcpCloseWait},
	})
	if err != nil {
		return fmt.Errorf("conntrack time-outs: %w", err)
	}
	klog.FromContext(ctx).V(2).Info("conntrack time-outs set", "established", tcpEstablished, "closeWait", tcpCloseWait)
	return nil
}
