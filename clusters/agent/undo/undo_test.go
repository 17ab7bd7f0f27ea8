package undo

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryKind makes a change of each kind, undoes it, and undoes it again.
func TestEveryKind(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	for _, c := range []string{
		"ip link set lo up", "ip link add eth0 type veth peer name eth1", "ip link set eth0 up", "ip link set eth1 up",
		"ip addr add 10.9.0.1/24 dev eth0",
	} {
		nstest.Must(t, c)
	}
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	if err := os.WriteFile(old, []byte("before\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	fileRecord := func(path string) Record {
		r, err := FileRecord(path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, row := range []struct {
		name   string
		record Record
		do     string
		// look is a command whose output is the state.
		look string
	}{
		{"sysctl", Record{Sysctl: &Sysctl{Key: "net.ipv4.conf.eth0.rp_filter", Value: "0"}}, "sysctl -w net.ipv4.conf.eth0.rp_filter=2", "sysctl net.ipv4.conf.eth0.rp_filter"},
		{"nft table", Record{NftTable: &NftTable{Family: "inet", Name: "relapse-x"}}, "nft add table inet relapse-x", "nft list ruleset"},
		{"file", fileRecord(old), "cp /proc/version " + old, "stat -c %a-%s " + old},
		{"new file", fileRecord(fresh), "cp /proc/version " + fresh, "ls " + dir},
		{"address", Record{Address: &Address{Link: "eth0", CIDR: "10.8.0.1/24"}}, "ip addr add 10.8.0.1/24 dev eth0", "ip -4 -o addr"},
		{"link", Record{Link: &Link{Link: "eth0", Setting: LinkMTU, Value: "1500"}}, "ip link set eth0 mtu 1400", "ip -o link show eth0"},
		{"route", Record{Route: &Route{To: "10.7.0.0/16", Table: 254}}, "ip route add 10.7.0.0/16 via 10.9.0.2", "ip route"},
		{"neighbour", Record{Neighbour: &Neighbour{Link: "eth0", Address: "10.9.0.3"}}, "ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:01 dev eth0", "ip neigh"},
		{"address 6", Record{Address: &Address{Link: "eth0", CIDR: "fd00::1/64"}}, "ip addr add fd00::1/64 dev eth0", "ip -6 -o addr show scope global"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := NewWithT(t)
			look := func() string {
				return nstest.Must(t, row.look)
			}
			before := look()
			nstest.Must(t, row.do)
			g.Expect(look()).NotTo(Equal(before), "the change must show")
			g.Expect(row.record.Undo(t.Context())).To(Succeed())
			g.Expect(look()).To(Equal(before))
			g.Expect(row.record.Undo(t.Context())).To(Succeed(), "twice")
			g.Expect(look()).To(Equal(before))
		})
	}
	content, err := os.ReadFile(old)
	NewWithT(t).Expect(string(content), err).To(Equal("before\n"))
}

func TestUndoOfWhatIsGone(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	for _, r := range []Record{
		{Sysctl: &Sysctl{Key: "net.ipv4.conf.gone0.rp_filter", Value: "0"}},
		{Address: &Address{Link: "gone0", CIDR: "10.0.0.1/8"}},
		{Link: &Link{Link: "gone0", Setting: LinkMTU, Value: "1500"}},
		{Route: &Route{To: "10.0.0.0/8", Table: 254}},
		{Neighbour: &Neighbour{Link: "gone0", Address: "10.0.0.1"}},
	} {
		g.Expect(r.Undo(t.Context())).To(Succeed(), r.String())
	}
}

func TestConntrackMark(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	create := func(port uint16, mark uint32) {
		flow := &netlink.ConntrackFlow{FamilyType: netlink.FAMILY_V4, TimeOut: 100, Mark: mark}
		flow.Forward = netlink.IPTuple{SrcIP: net.IPv4(10, 0, 0, 1), DstIP: net.IPv4(10, 0, 0, 2), SrcPort: port, DstPort: 53, Protocol: 17}
		flow.Reverse = netlink.IPTuple{SrcIP: net.IPv4(10, 0, 0, 2), DstIP: net.IPv4(10, 0, 0, 1), SrcPort: 53, DstPort: port, Protocol: 17}
		g.Expect(netlink.ConntrackCreate(netlink.ConntrackTable, netlink.FAMILY_V4, flow)).To(Succeed())
	}
	create(1000, 0)
	create(1001, 0x10)
	create(1002, 0x30)
	create(1003, 0x30)
	marks := func() (marks []uint32) {
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, netlink.FAMILY_V4)
		g.Expect(err).NotTo(HaveOccurred())
		for _, f := range flows {
			marks = append(marks, f.Mark)
		}
		return marks
	}
	g.Expect(marks()).To(ConsistOf(uint32(0), uint32(0x10), uint32(0x30), uint32(0x30)))
	r := Record{ConntrackMark: &ConntrackMark{Mark: 0x20, Mask: 0x20}}
	g.Expect(r.Undo(t.Context())).To(Succeed())
	g.Expect(marks()).To(ConsistOf(uint32(0), uint32(0x10)))
	g.Expect(r.Undo(t.Context())).To(Succeed())
	g.Expect(marks()).To(ConsistOf(uint32(0), uint32(0x10)))
}

func TestRecordsThatAreRefused(t *testing.T) {
	for text, r := range map[string]Record{
		"0 kinds set":            {},
		"2 kinds set":            {NftTable: &NftTable{Family: "ip", Name: "relapse"}, Sysctl: &Sysctl{Key: "net.x"}},
		`"kube-proxy" does not`:  {NftTable: &NftTable{Family: "ip", Name: "kube-proxy"}},
		`nft family "inet6"`:     {NftTable: &NftTable{Family: "inet6", Name: "relapse"}},
		"foreign entries":        {ConntrackMark: &ConntrackMark{Mark: 0, Mask: 1}},
		"not a sysctl key":       {Sysctl: &Sysctl{Key: "net/../../etc/passwd", Value: "0"}},
		"not absolute":           {File: &File{Path: "x"}},
		"another network namesp": {Netns: 1, NftTable: &NftTable{Family: "ip", Name: "relapse"}},
	} {
		NewWithT(t).Expect(r.Undo(t.Context())).To(MatchError(ContainSubstring(text)))
	}
}

func TestSetSysctl(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	var stack Stack
	scope := stack.Begin("x")
	g.Expect(scope.SetSysctl("net.ipv4.ip_local_reserved_ports", "8080,9148")).To(Succeed())
	g.Expect(scope.SetSysctl("net.ipv4.ip_local_port_range", "1024 2000")).To(Succeed())
	g.Expect(scope.Undo(t.Context())).To(Succeed())
	g.Expect(ReadSysctl("net.ipv4.ip_local_reserved_ports")).To(BeEmpty(), "an empty list must come back")
	g.Expect(ReadSysctl("net.ipv4.ip_local_port_range")).To(Equal("32768 60999"))

	scope = stack.Begin("y")
	if _, err := ReadSysctl("net.netfilter.nf_conntrack_max"); err == nil {
		g.Expect(scope.SetSysctl("net.netfilter.nf_conntrack_max", "50")).To(MatchError(And(
			ContainSubstring("net.netfilter.nf_conntrack_max"), ContainSubstring("permission denied: the kernel keeps this setting to the initial"))))
	}
	g.Expect(scope.SetSysctl("net.core.rmem_max", "50")).NotTo(Succeed())
	g.Expect(scope.SetSysctl("net.ipv4.none_such", "50")).To(MatchError(ContainSubstring("no such file")))
	g.Expect(stack.Left()).To(BeEmpty(), "what may not be set leaves nothing to undo")
	g.Expect(scope.SetSysctl("net.ipv4.tcp_syn_retries", "many")).To(MatchError(And(
		ContainSubstring("net.ipv4.tcp_syn_retries"), ContainSubstring(`"many"`), ContainSubstring("invalid argument"))))
	g.Expect(scope.Undo(t.Context())).To(Succeed())
}

// TestSettingsThatFollow: ip_forward sets the forwarding of every link, and each must get its own value back.
func TestSettingsThatFollow(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link add eth0.100 type veth peer name eth1")
	nstest.Must(t, "sysctl -w net.ipv4.conf.eth1.forwarding=1")
	state := func() string {
		out, err := exec.Command("sh", "-c", "grep . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv*/conf/*/*").CombinedOutput()
		g.Expect(err == nil || len(out) > 1000).To(BeTrue())
		return string(out)
	}
	before := state()
	for _, key := range []string{"net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.eth0/100.forwarding", "net.ipv6.conf.all.forwarding"} {
		for _, values := range [][]string{{"1"}, {"1", "0"}, {"0"}} {
			var stack Stack
			for _, value := range values {
				g.Expect(stack.Begin(key).SetSysctl(key, value)).To(Succeed())
			}
			g.Expect(stack.UndoAll(t.Context())).To(Succeed())
			g.Expect(strings.Split(state(), "\n")).To(Equal(strings.Split(before, "\n")), "%s %v", key, values)
		}
	}
}

func TestStackOrder(t *testing.T) {
	g := NewWithT(t)
	var stack Stack
	var got []string
	push := func(s *Scope, name string, err error) {
		g.Expect(s.PushFunc(name, func(ctx context.Context) error {
			g.Expect(ctx.Err()).NotTo(HaveOccurred())
			_, ok := ctx.Deadline()
			g.Expect(ok).To(BeTrue())
			got = append(got, name)
			return err
		})).To(Succeed())
	}
	fault, remedy := stack.Begin("fault"), stack.Begin("remedy")
	push(fault, "f1", nil)
	push(remedy, "r1", nil)
	push(fault, "f2", errors.New("no"))
	push(remedy, "r2", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	g.Expect(remedy.Undo(ctx)).To(Succeed(), "the remedy is withdrawn while the fault stays")
	g.Expect(got).To(Equal([]string{"r2", "r1"}))
	g.Expect(remedy.PushFunc("r3", nil)).To(MatchError(ErrClosed))
	g.Expect(remedy.Undo(ctx)).To(Succeed(), "nothing is undone twice")

	other := stack.Begin("other")
	push(other, "o1", nil)
	g.Expect(stack.UndoAll(ctx)).To(MatchError(And(ContainSubstring("change fault"), ContainSubstring("f2: no"))))
	g.Expect(got).To(Equal([]string{"r2", "r1", "o1", "f2", "f1"}), "past the error")
	g.Expect(stack.Left()).To(Equal([]string{"change fault: f2"}), "for another try")
	g.Expect(fault.PushFunc("f3", nil)).To(MatchError(ErrClosed))

	late := stack.Begin("late")
	g.Expect(stack.Close(ctx)).NotTo(Succeed())
	g.Expect(late.PushFunc("l1", nil)).To(MatchError(ErrClosed))
}

func TestStepThatHangs(t *testing.T) {
	g := NewWithT(t)
	stack := Stack{Timeout: 50 * time.Millisecond}
	scope := stack.Begin("x")
	undone, release := false, make(chan struct{})
	g.Expect(scope.PushFunc("first", func(context.Context) error { undone = true; return nil })).To(Succeed())
	g.Expect(scope.PushFunc("breaks", func(context.Context) error { panic("boom") })).To(Succeed())
	g.Expect(scope.PushFunc("hangs", func(context.Context) error { <-release; return nil })).To(Succeed())
	g.Expect(scope.Undo(t.Context())).To(MatchError(And(ContainSubstring("hangs: not done after 50ms"), ContainSubstring("panic: boom"))))
	g.Expect(undone).To(BeTrue())
	close(release)
}

func TestPushThatFails(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	journal, err := OpenJournal(filepath.Join(t.TempDir(), "j"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(journal.Close()).To(Succeed()) // a disk that refuses
	stack := Stack{Journal: journal}
	scope := stack.Begin("x")
	before, err := ReadSysctl("net.ipv4.tcp_syn_retries")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(scope.SetSysctl("net.ipv4.tcp_syn_retries", "2")).To(MatchError(ContainSubstring("journal")))
	g.Expect(ReadSysctl("net.ipv4.tcp_syn_retries")).To(Equal(before))
	g.Expect(stack.Left()).To(BeEmpty())
}

func TestSysctlKeys(t *testing.T) {
	g := NewWithT(t)
	for key, path := range map[string]string{
		"net.ipv4.ip_forward":               "/proc/sys/net/ipv4/ip_forward",
		"net.ipv4.conf.eth0/100.rp_filter":  "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
		"net/ipv4/conf/eth0.100/rp_filter":  "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
		"net.netfilter.nf_conntrack_max":    "/proc/sys/net/netfilter/nf_conntrack_max",
		"net/ipv4/neigh/default/gc_thresh3": "/proc/sys/net/ipv4/neigh/default/gc_thresh3",
	} {
		g.Expect(SysctlPath(key)).To(Equal(path))
		if !strings.HasPrefix(key, "net/") {
			g.Expect(SysctlKey(path)).To(Equal(key))
		}
	}
}

func TestWhatAStackRefusesIsNotMade(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "file")
	stack := &Stack{Refuse: func(r Record) error {
		if r.File != nil {
			return errors.New("no files here")
		}
		return nil
	}}
	scope := stack.Begin("one")
	g.Expect(scope.SetFile(file, []byte("text"), 0o600)).To(MatchError("change one: no files here"))
	g.Expect(file).NotTo(BeAnExistingFile())
	g.Expect(scope.Push(Record{NftTable: &NftTable{Family: "ip", Name: "relapse-none"}})).To(Succeed())
	g.Expect(stack.Close(t.Context())).To(Succeed())
}
