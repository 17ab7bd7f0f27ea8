package enforce

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nflog"
)

func isolated(pod, direction string, policies ...string) Isolated {
	return Isolated{Namespace: "default", Pod: pod, IP: "10.244.1.2", Direction: direction, Policies: policies}
}

func TestRulesAreReplacedAndTheBaseChainStays(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft(8) to read the rules: ", err)
	}
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	var e Enforcer
	base := func() string {
		return regexp.MustCompile(`chain forward \{ # handle \d+`).FindString(nstest.Must(t, "nft -a list table ip "+Table))
	}
	g.Expect(e.Program(t.Context(), Ruleset{})).To(Succeed())
	g.Expect(nstest.Must(t, "nft list ruleset")).To(BeEmpty(), "nothing to enforce leaves nothing")

	g.Expect(e.Program(t.Context(), Ruleset{Isolated: []Isolated{isolated("a", Egress, "default/x"), isolated("b", Ingress, "default/x")}})).To(Succeed())
	first := base()
	g.Expect(first).NotTo(BeEmpty())
	g.Expect(Readings(t.Context())).To(Equal(map[string]float64{"isolated": 2, Egress: 0, Ingress: 0, "unknown": 0}))

	g.Expect(e.Program(t.Context(), Ruleset{Isolated: []Isolated{isolated("b", Ingress, "default/x", "default/y")}})).To(Succeed())
	g.Expect(base()).To(Equal(first), "packets may be queued there")
	text := nstest.Must(t, "nft list table ip "+Table)
	g.Expect(text).To(ContainSubstring("chain ingress-default/b {"))
	g.Expect(text).NotTo(ContainSubstring("egress-default/a"))
	g.Expect(Readings(t.Context())).To(HaveKeyWithValue("isolated", 1.0))

	g.Expect(e.Program(t.Context(), Ruleset{Isolated: []Isolated{{Pod: "c", IP: "nowhere", Direction: Egress}}})).To(MatchError(ContainSubstring("egress of /c")))
	g.Expect(nstest.Must(t, "nft list table ip "+Table)).To(Equal(text), "all or nothing")

	g.Expect(e.Program(t.Context(), Ruleset{})).To(Succeed())
	g.Expect(nstest.Must(t, "nft list ruleset")).To(BeEmpty())
	g.Expect(Readings(t.Context())).To(Equal(map[string]float64{"isolated": 0, Egress: 0, Ingress: 0, "unknown": 0}))
}

// query is the start of an IPv4 packet from 10.244.1.2 to 10.244.2.5, protocol UDP, port 53.
func query(sourcePort byte) []byte {
	return []byte{
		0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 10, 244, 1, 2, 10, 244, 2, 5,
		0x80, sourcePort, 0, 53, 0, 40, 0, 0,
	}
}

func TestTheFirstPacketOfAFlowIsTold(t *testing.T) {
	g := NewWithT(t)
	var d drops
	both := d.prefix(isolated("a", Egress, "default/y", "default/x"))
	g.Expect(d.prefix(isolated("a", Egress, "default/x", "default/y"))).To(Equal(both), "the same policies")
	one := d.prefix(isolated("a", Egress, "default/x"))
	g.Expect(one).NotTo(Equal(both))

	d.note(nflog.Packet{Prefix: one, Payload: query(1)}, nil)
	d.note(nflog.Packet{Prefix: one, Payload: query(1)}, nil)  // a retransmission
	d.note(nflog.Packet{Prefix: one, Payload: query(2)}, nil)  // another flow
	d.note(nflog.Packet{Prefix: both, Payload: query(1)}, nil) // under other policies
	d.note(nflog.Packet{Prefix: "a stranger's", Payload: query(3)}, nil)
	d.note(nflog.Packet{Prefix: one, Payload: []byte{0x60}}, nil) // not IPv4
	d.note(nflog.Packet{}, errors.New("broken"))

	var told []Drop
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g.Expect(d.follow(ctx, func(drop Drop) { told = append(told, drop) })).To(MatchError("broken"))
	want := Drop{Namespace: "default", Pod: "a", Direction: Egress, Policies: []string{"default/x"}, Peer: "10.244.2.5", Protocol: "udp", Port: 53}
	under := want
	under.Policies = []string{"default/x", "default/y"}
	g.Expect(told).To(Equal([]Drop{want, want, under}))
}

func TestFollowingEndsWithoutAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	NewWithT(t).Expect((&drops{}).follow(ctx, nil)).To(Succeed())
}

func TestProtocolNames(t *testing.T) {
	g := NewWithT(t)
	for number, name := range map[byte]string{17: "udp", 6: "tcp", 1: "icmp", 132: "132"} {
		packet := query(1)
		packet[9] = number
		var d drops
		prefix := d.prefix(isolated("a", Ingress))
		d.note(nflog.Packet{Prefix: prefix, Payload: packet}, nil)
		g.Expect(d.waiting).To(HaveLen(1))
		g.Expect(d.waiting[0].Protocol).To(Equal(name))
		g.Expect(d.waiting[0].Peer).To(Equal("10.244.1.2"))
		g.Expect(d.waiting[0].Port != 0).To(Equal(name == "udp" || name == "tcp"), "the others have no ports")
	}
}
