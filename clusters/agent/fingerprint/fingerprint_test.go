package fingerprint

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// take looks at the namespace as it would be looked at over a stream: through JSON.
func take(t *testing.T, opts Options) Fingerprint {
	t.Helper()
	fp, err := Take(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(fp)
	if err != nil {
		t.Fatal(err)
	}
	var back Fingerprint
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestSeesEveryChangeAndItsUndoing(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	for _, c := range []string{
		"ip link set lo up", "ip link add relapse0 type veth peer name relapse1",
		"ip link add eth0 type veth peer name eth1", "ip link set eth0 up", "ip link set eth1 up", "ip addr add 10.9.0.1/24 dev eth0",
		"nft add table inet other", "ip link add br0 type bridge", "ip link set eth1 master br0",
	} {
		nstest.Must(t, c)
	}
	for _, row := range []struct{ do, undo, sees string }{
		{"ip link add relapse2 type veth peer name relapse3", "ip link del relapse2", "link relapse2 appeared: veth mtu 1500 down"},
		{"ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500", "link eth0: veth mtu 1500 up"},
		{"ip addr add 10.8.0.1/24 dev eth0", "ip addr del 10.8.0.1/24 dev eth0", "address appeared: 10.8.0.1/24 dev eth0 scope universe"},
		{"ip addr add fd00::1/64 dev eth0 nodad", "ip addr del fd00::1/64 dev eth0", "address appeared: fd00::1/64 dev eth0"},
		{"ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:01 dev eth0", "ip neigh del 10.9.0.3 dev eth0", "neighbour appeared: 10.9.0.3 dev eth0 lladdr 02:00:00:00:00:01"},
		{"bridge link set dev eth1 hairpin on", "bridge link set dev eth1 hairpin off", "hairpin"},
		{"ip route add 10.7.0.0/16 via 10.9.0.2", "ip route del 10.7.0.0/16", "route appeared: 10.7.0.0/16 via 10.9.0.2 dev eth0"},
		{"ip route add blackhole 10.6.0.0/16 table 77", "ip route del blackhole 10.6.0.0/16 table 77", "route appeared: blackhole 10.6.0.0/16 table 77"},
		{"ip rule add fwmark 0x4000/0x4000 lookup 77", "ip rule del fwmark 0x4000/0x4000 lookup 77", "fwmark 0x4000/0x4000 lookup 77"},
		{"ip -6 rule add from fd00::/8 lookup 78", "ip -6 rule del from fd00::/8 lookup 78", "ip6 32765: from fd00::/8 to all lookup 78"},
		{"nft add table inet relapse-x", "nft delete table inet relapse-x", "nft table inet relapse-x appeared"},
		{"nft add chain inet other c", "nft delete chain inet other c", `nft table inet other: + "chain c {", + "}"`},
		{"sysctl -w net.ipv4.conf.eth0.rp_filter=2", "sysctl -w net.ipv4.conf.eth0.rp_filter=0", "sysctl net.ipv4.conf.eth0.rp_filter: 0 -> 2"},
		{"sysctl -w net.ipv4.tcp_syn_retries=2", "sysctl -w net.ipv4.tcp_syn_retries=6", "sysctl net.ipv4.tcp_syn_retries: 6 -> 2"},
	} {
		t.Run(row.do, func(t *testing.T) {
			g := NewWithT(t)
			if name, _, _ := strings.Cut(row.do, " "); lookupFails(name) {
				t.Skipf("%s is not installed", name)
			}
			before := take(t, Options{})
			g.Expect(Diff(before, take(t, Options{}))).To(BeEmpty(), "nothing has changed yet")
			nstest.Must(t, row.do)
			g.Expect(Diff(before, take(t, Options{}))).To(ContainElement(ContainSubstring(row.sees)))
			nstest.Must(t, row.undo)
			g.Expect(Diff(before, take(t, Options{}))).To(BeEmpty(), "it was undone")
		})
	}
}

func lookupFails(name string) bool { _, err := exec.LookPath(name); return err != nil }

func TestSeesLegacyIptables(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	before := take(t, Options{})
	g.Expect(take(t, Options{}).Legacy).To(BeEmpty(), "looking must not make a table")
	if _, err := nstest.Try("iptables-legacy -A INPUT -p udp --dport 9 -j DROP"); err != nil {
		t.Skip(err)
	}
	with := take(t, Options{})
	g.Expect(Diff(before, with)).To(ConsistOf("legacy iptables table ip filter appeared"))
	nstest.Must(t, "iptables-legacy -F INPUT")
	g.Expect(Diff(with, take(t, Options{}))).To(ConsistOf(ContainSubstring(`- "-A INPUT -p udp -m udp --dport 9 -j DROP"`)))
}

func TestTrafficIsNoDifference(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	for _, c := range []string{
		"ip link set lo up", "nft add table ip t", "nft add chain ip t c { type filter hook output priority 0 ; }",
		"nft add set ip t seen { type ipv4_addr ; flags dynamic,timeout ; timeout 60s ; }",
		"nft add rule ip t c ct state new counter add @seen { ip daddr } accept",
	} {
		nstest.Must(t, c)
	}
	before := take(t, Options{})
	for range 20 {
		out, err := exec.Command("bash", "-c", "echo x >/dev/udp/127.0.0.1/9; echo x >/dev/tcp/127.0.0.1/9").CombinedOutput()
		g.Expect(err).To(HaveOccurred(), "nobody listens: %s", out)
	}
	g.Expect(nstest.Must(t, "nft list set ip t seen")).To(ContainSubstring("127.0.0.1"), "the traffic has to have left its marks")
	g.Expect(Diff(before, take(t, Options{}))).To(BeEmpty())
}

func TestWithoutNft(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	before, err := countNft()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(before).To(BeEmpty())
	nstest.Must(t, "nft add table inet relapse-x")
	nstest.Must(t, "nft add chain inet relapse-x c { type filter hook input priority 5 ; }")
	nstest.Must(t, "nft add rule inet relapse-x c drop")
	after, err := countNft()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(after).To(Equal(map[string]string{"inet relapse-x": "chain c: 1 rules, filter hook 1 priority 5\n"}))
}

func TestHost(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	const own, other = "20261121-035502-3f9a", "20261121-035502-beef"
	opts := Options{Run: own, Host: true, StateDir: t.TempDir()}
	nstest.Must(t, "nft add table inet docker")
	nstest.Must(t, "nft add chain inet docker c { type filter hook input priority 0 ; }")
	nstest.Must(t, "nft add rule inet docker c accept")
	before := take(t, opts)

	// What others do makes no difference.
	nstest.Must(t, "ip link add veth7 type veth peer name veth8")
	nstest.Must(t, "ip addr add 10.5.0.1/24 dev veth7")
	nstest.Must(t, "ip link set veth7 up")
	nstest.Must(t, "ip link add relapsebeef0 type veth peer name relapsebeef1")
	nstest.Must(t, "nft add table inet relapse-"+other)
	nstest.Must(t, "nft add rule inet docker c drop")
	stop := start(t, runstate.EnvRun+"="+other)
	after := take(t, opts)
	g.Expect(after.Links).To(And(HaveKey("veth7"), HaveKey("relapsebeef0")), "they are seen")
	g.Expect(after.Addresses).To(ContainElement(HavePrefix("10.5.0.1/24 dev veth7")))
	g.Expect(after.Nft).To(HaveKey("inet relapse-" + other))
	g.Expect(after.Nft["inet docker"]).NotTo(Equal(before.Nft["inet docker"]))
	g.Expect(Diff(before, after)).To(BeEmpty())
	stop()

	// What is the run's own does, whatever it is, and so does a foreign table that was flushed.
	nstest.Must(t, "ip link add relapse3f9a0 type veth peer name relapse3f9a1")
	nstest.Must(t, "nft add table inet relapse-"+own)
	nstest.Must(t, "nft flush ruleset")
	nstest.Must(t, "nft add table inet relapse-"+own)
	g.Expect(os.MkdirAll(opts.StateDir+"/"+own, 0o700)).To(Succeed())
	g.Expect(os.WriteFile(opts.StateDir+"/"+own+"/left", nil, 0o600)).To(Succeed())
	defer start(t, runstate.EnvRun+"="+own)()
	g.Expect(Diff(before, take(t, opts))).To(ConsistOf(
		ContainSubstring("link relapse3f9a0 appeared"), ContainSubstring("link relapse3f9a1 appeared"),
		"nft table inet relapse-"+own+" appeared", "nft table inet docker disappeared",
		ContainSubstring(`a process is left: process`), "a file is left: "+opts.StateDir+"/"+own+"/left",
	))
}

// start runs a process that does nothing, with one more environment variable.
func start(t *testing.T, env string) (stop func()) {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.Env = append(os.Environ(), env)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() { _ = in.Close(); _ = cmd.Wait() }
}

func TestSysctlLink(t *testing.T) {
	g := NewWithT(t)
	for key, link := range map[string]string{
		"net.ipv4.conf.eth0.rp_filter": "eth0", "net.ipv6.neigh.eth0/100.retrans_time_ms": "eth0.100",
		"net.ipv4.conf.all.rp_filter": "", "net.ipv4.ip_forward": "", "net.netfilter.nf_conntrack_max": "",
	} {
		g.Expect(sysctlLink(key)).To(Equal(link), key)
	}
}

// TestWhatBelongsToTheMachineIsTheHosts: a node or pod shows it too, and must not answer for it.
func TestWhatBelongsToTheMachineIsTheHosts(t *testing.T) {
	g := NewWithT(t)
	const limit = "net.netfilter.nf_conntrack_max"
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err != nil {
		t.Skip(err)
	}
	for _, host := range []bool{true, false} {
		var fp Fingerprint
		g.Expect(fp.takeSysctls(host)).To(Succeed())
		_, there := fp.Sysctls[limit]
		g.Expect(there).To(Equal(host))
	}
}

func BenchmarkTake(b *testing.B) {
	for b.Loop() {
		if _, err := Take(context.Background(), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTakeHost(b *testing.B) {
	for b.Loop() {
		if _, err := Take(context.Background(), Options{Run: "20261121-035502-3f9a", Host: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSysctls(b *testing.B) {
	for b.Loop() {
		var fp Fingerprint
		if err := fp.takeSysctls(true); err != nil {
			b.Fatal(err)
		}
	}
}
