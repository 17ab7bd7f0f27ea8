package faults

import (
	"runtime"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestRulesAsNftShowsThem(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	nstest.Must(t, "ip link add name a type veth peer name b")
	nstest.Must(t, "ip addr add 192.0.2.1/24 dev a")
	for _, c := range []struct {
		name   string
		change Change
		want   []string
	}{
		{"relapse_kept", &Masquerade{Ports: "kept"}, []string{
			"type nat hook postrouting priority srcnat - 1;", "ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 counter packets 0 bytes 0 masquerade\n",
		}},
		{"relapse_random", &Masquerade{From: "10.1.0.0/24", Ports: "fully-random"}, []string{
			"type nat hook postrouting priority srcnat - 2;", "ip saddr 10.1.0.0/24 ip daddr != 10.1.0.0/24 counter packets 0 bytes 0 masquerade fully-random\n",
		}},
		{"relapse_range", &Masquerade{Ports: "40000-40003"}, []string{
			"type nat hook postrouting priority srcnat - 1;", "ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 meta l4proto tcp oif \"a\" counter packets 0 bytes 0 snat to 192.0.2.1:40000-40003\n",
			"meta l4proto udp oif",
		}},
		{"relapse_mss", &MSSClamp{MSS: 1300}, []string{"hook postrouting priority mangle;", "tcp flags syn / syn,rst counter packets 0 bytes 0 tcp option maxseg size set 1300\n"}},
		{"relapse_mss_route", &MSSClamp{}, []string{"tcp option maxseg size set rt mtu\n"}},
	} {
		g := NewWithT(t)
		stack := &undo.Stack{}
		ns := &Namespace{Scope: stack.Begin(c.name), Name: c.name}
		g.Expect(c.change.Apply(t.Context(), ns)).To(Succeed())
		text := nstest.Must(t, "nft list table ip "+c.name)
		for _, want := range c.want {
			g.Expect(text).To(ContainSubstring(want))
		}
		g.Expect(c.change.(Reporter).Readings(t.Context())).To(HaveKeyWithValue("packets", 0.0))
		g.Expect(ns.Scope.Undo(t.Context())).To(Succeed())
		g.Expect(nstest.Must(t, "nft list ruleset")).NotTo(ContainSubstring(c.name))
	}
}
