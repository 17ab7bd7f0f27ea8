package kind

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// startOutside makes the host beyond the cluster: a namespace with a wire into the bridge that the nodes are on for each of its gateways. It
// is gone when its agent ends.
func (k *Kind) startOutside(ctx context.Context, logs string, env []string, gateways []int) (*local.Process, error) {
	programs := local.Programs{Bin: k.Bin, Logs: logs, Env: env}
	hosts := "127.0.0.1\tlocalhost\n"
	p, err := programs.StartSandbox("outside", sandbox.Home{Hostname: "outside", Files: map[string]string{
		"/etc/resolv.conf": "nameserver " + outside.DNS + "\n", "/etc/hosts": hosts, "/etc/nsswitch.conf": "hosts: files dns\n",
	}})
	if err != nil {
		return nil, err
	}
	if err := k.wireOutside(ctx, programs, p, gateways); err != nil {
		return nil, errors.Join(err, p.End(context.WithoutCancel(ctx)))
	}
	return p, nil
}

func (k *Kind) wireOutside(ctx context.Context, programs local.Programs, p *local.Process, gateways []int) error {
	// Its programs have no capabilities, and ports below 1024.
	config := netconf.Config{Sysctls: map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}, Links: []netconf.Link{
		{Name: "lo", Addresses: []string{outside.DNS + "/32", outside.Host + "/32"}},
	}}
	for i, number := range gateways {
		near, far := fmt.Sprintf("relapse%d", p.PID()), fmt.Sprintf("eth%d", i)
		if i > 0 {
			near += fmt.Sprintf(".%d", i)
		}
		wire := [][2]netconf.End{{{Name: near}, {PID: p.PID(), Name: far, MAC: outsideMAC(number)}}}
		if _, err := netconf.HandleConnect(ctx, netconf.Wires{Pairs: wire}, nil); err != nil {
			return err
		}
		if err := join(near, k.cluster.Bridge); err != nil {
			return err
		}
		// Only the first has the route back to the nodes.
		length := k.cluster.Subnet.Bits()
		if i > 0 {
			length = 32
		}
		address := netip.PrefixFrom(gateway(k.cluster.Subnet, number), length)
		config.Links = append(config.Links, netconf.Link{Name: far, Addresses: []string{address.String()}})
	}
	if _, err := netconf.Configure.Call(ctx, p.Conn, config, nil); err != nil {
		return err
	}
	corefile := "/run/relapse/outside-dns/Corefile"
	for _, s := range []program.Spec{
		{Name: "outside-dns", Argv: []string{filepath.Join(k.Bin, "relapse-coredns"), "--conf", corefile}, Files: map[string]string{corefile: outside.Corefile}},
		{Name: "outside-http", Argv: []string{filepath.Join(k.Bin, "relapse-agent"), "http", outside.Host + ":80"}},
	} {
		log, err := filepath.Abs(programs.LogFile(s.Name))
		if err != nil {
			return err
		}
		s.Logs = log
		if _, err := program.Start.Call(ctx, p.Conn, s, nil); err != nil {
			return err
		}
	}
	_, err := program.Send.Call(ctx, p.Conn, program.Input{Name: "outside-dns", Expect: `"synced":0`}, nil)
	return err
}

// join makes a link a port of a bridge.
func join(name, bridge string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", bridge, err)
	}
	if err := netlink.LinkSetMaster(link, master); err != nil {
		return fmt.Errorf("link %s joins %s: %w", name, bridge, err)
	}
	return netlink.LinkSetUp(link)
}

// shareOutside starts the control plane's outside host for lanes that run side by side, and ends it for one that has the whole cluster.
func (k *Kind) shareOutside(ctx context.Context, p *part) (err error) {
	if err := k.lock.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	defer k.lock.Release(1)
	if p.whole() {
		return k.endOutside(ctx)
	}
	if k.outside == nil {
		k.outside, err = k.startOutside(ctx, k.Logs, nil, []int{wholeNumber})
	}
	return err
}

func (k *Kind) endOutside(ctx context.Context) error {
	if k.outside == nil {
		return nil
	}
	_ = k.outside.Conn.Close() // End waits for it
	err := k.outside.End(ctx)
	k.outside = nil
	return err
}

// addRouteOutside gives every node a route to the outside host of its part, whose DNS server is the one that nodes ask.
func (k *Kind) addRouteOutside(ctx context.Context) error {
	for _, node := range k.cluster.Nodes {
		number := wholeNumber
		for _, p := range k.parts {
			if _, there := p.on(node.Container); there {
				number = p.number
			}
		}
		routes := netconf.Config{Routes: []netconf.Route{{To: outside.Network, Via: gateway(k.cluster.Subnet, number).String()}}}
		// A cluster that stays has it from the run before.
		if _, err := netconf.Configure.Call(ctx, k.all.agents["node/"+node.Name], routes, nil); err != nil && !strings.Contains(err.Error(), unix.EEXIST.Error()) {
			return fmt.Errorf("node/%s: %w", node.Name, err)
		}
	}
	return nil
}
