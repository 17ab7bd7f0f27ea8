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

// gateway is the outside host's address on the nodes' network: the last but one, which the engine gives out last.
func gateway(network netip.Prefix) netip.Addr {
	bytes := network.Masked().Addr().As4()
	for bit := network.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(bytes).Prev()
}

// outsideMAC is always the same: the nodes remember it longer than one outside lives.
const outsideMAC = "02:00:5e:00:53:01"

// startOutside makes the host beyond the cluster: a namespace with a wire into the bridge that the nodes are on. It is gone when
// its agent ends.
func (k *Kind) startOutside(ctx context.Context, logs string, env []string) (*local.Process, error) {
	programs := local.Programs{Bin: k.Bin, Logs: logs, Env: env}
	hosts := "127.0.0.1\tlocalhost\n"
	p, err := programs.StartSandbox("outside", sandbox.Home{Hostname: "outside", Files: map[string]string{
		"/etc/resolv.conf": "nameserver " + outside.DNS + "\n", "/etc/hosts": hosts, "/etc/nsswitch.conf": "hosts: files dns\n",
	}})
	if err != nil {
		return nil, err
	}
	if err := k.wireOutside(ctx, programs, p); err != nil {
		return nil, errors.Join(err, p.End(context.WithoutCancel(ctx)))
	}
	return p, nil
}

func (k *Kind) wireOutside(ctx context.Context, programs local.Programs, p *local.Process) error {
	near := fmt.Sprintf("relapse%d", p.PID())
	if _, err := netconf.HandleConnect(ctx, netconf.Wires{Pairs: [][2]netconf.End{{{Name: near}, {PID: p.PID(), Name: "eth0", MAC: outsideMAC}}}}, nil); err != nil {
		return err
	}
	if err := join(near, k.cluster.Bridge); err != nil {
		return err
	}
	address := netip.PrefixFrom(gateway(k.cluster.Subnet), k.cluster.Subnet.Bits())
	// Its programs have no capabilities, and ports below 1024.
	config := netconf.Config{Sysctls: map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}, Links: []netconf.Link{
		{Name: "lo", Addresses: []string{outside.DNS + "/32", outside.Host + "/32"}},
		{Name: "eth0", Addresses: []string{address.String()}},
	}}
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

// addRouteOutside gives every node a route to the outside host, whose DNS server is the one that nodes ask.
func (k *Kind) addRouteOutside(ctx context.Context) error {
	routes := netconf.Config{Routes: []netconf.Route{{To: outside.Network, Via: gateway(k.cluster.Subnet).String()}}}
	for place, conn := range k.nodes {
		// A cluster that stays has it from the run before.
		if _, err := netconf.Configure.Call(ctx, conn, routes, nil); err != nil && !strings.Contains(err.Error(), unix.EEXIST.Error()) {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
	return nil
}
