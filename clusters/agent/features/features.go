// Package features finds out, by trying, what the kernel can do in the namespace of an agent.
//
//	features.go  the list of what is tried
//	log.go       logging by rules: to a group, to the kernel log
//	stray.go     what conntrack makes of a segment outside of the window
//	try.go       what the trials share
package features

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
	"github.com/relapse-k8s/relapse/clusters/offers"
)

// Probe tries all features. Call it only in an agent whose namespace ends with it: the trials leave links and tables there.
var Probe = agent.Op[agent.None, agent.None, map[string]offers.Offer]{Name: "offers"}

// HandleProbe serves Probe.
func HandleProbe(ctx context.Context, _ agent.None, _ func(agent.None)) (map[string]offers.Offer, error) {
	// A network namespace belongs to a thread, so all trials run on one thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	found := map[string]offers.Offer{}
	offer := func(name, yes, remedy string, try func() error) {
		found[name] = offers.Offer{OK: true, Why: yes}
		if err := try(); err != nil {
			found[name] = offers.Offer{Why: fmt.Sprintf("%v; %s", err, remedy)}
		}
	}
	offer("nfqueue", "", "the kernel needs CONFIG_NETFILTER_NETLINK_QUEUE and either NFT_QUEUE or NFT_COMPAT with NETFILTER_XT_TARGET_NFQUEUE", func() error {
		h, err := hold.Start(ctx, hold.Spec{Name: "relapse_offer", Queue: 1, Match: hold.Match{Proto: 17, DstPort: 53, New: true}, Hook: hold.Forward, Policy: hold.Pass{}})
		if err != nil {
			return err
		}
		why := "tried: " + string(h.Via())
		err = h.Close()
		found["nfqueue"] = offers.Offer{OK: err == nil, Why: why}
		return err
	})
	offer("nfqueue-counters", "tried: they can be read", "run as root on the machine itself", func() error {
		_, err := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
		return err
	})
	var stats ctnetlink.Stats
	offer("conntrack", "tried: ctnetlink answers", "the kernel needs CONFIG_NF_CT_NETLINK (modprobe nf_conntrack_netlink)", func() error {
		table, err := ctnetlink.Open()
		if err != nil {
			return err
		}
		defer table.Close()
		stats, err = table.Stats(ctx)
		return err
	})
	offer("conntrack-clash-resolve", "the kernel counts clash_resolve", "it came with Linux 5.10", func() error {
		if _, ok := stats[ctnetlink.ClashResolve]; !ok {
			return errors.New("the kernel does not count clash_resolve")
		}
		return nil
	})
	offer("conntrack-late-segments", "tried: a segment from behind the window was not INVALID", "it came with Linux 6.1", func() error {
		return segmentPasses(ctx, farBehind)
	})
	offer("conntrack-timeouts", "tried: a node's namespace has its own time-outs", "run as root: older kernels keep these settings from user namespaces", func() error {
		const key = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
		old, err := undo.ReadSysctl(key)
		if err != nil {
			return err
		}
		return os.WriteFile(undo.SysctlPath(key), []byte(old), 0o644)
	})
	offer("bridge-netfilter", "net.bridge is there", "modprobe br_netfilter", func() error {
		_, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables")
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New("bridged packets do not pass netfilter")
		}
		return err
	})
	offer("vxlan", "tried: a device was made", "modprobe vxlan", func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "offer"
		return netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 1, Port: 8472})
	})
	offer("nflog", "tried: a rule logged a packet to a group, and it was read", "the kernel needs CONFIG_NFT_LOG and CONFIG_NETFILTER_NETLINK_LOG", func() error {
		return tryNFLOG(ctx)
	})
	offer("kernel-log-rule", "tried: a rule was made", "the kernel needs CONFIG_NFT_LOG and CONFIG_NF_LOG_IPV4", tryLogRule)
	offer("kernel-log-rule-silent", "tried: a rule logged a packet, and the kernel log has no line of it", "sysctl -w net.netfilter.nf_log_all_netns=0", tryLogSilent)
	return found, nil
}
