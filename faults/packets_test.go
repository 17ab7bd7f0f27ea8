package faults

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// TestPackets sends numbered datagrams over the loopback device, and looks at those that arrive.
func TestPackets(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const n = 40
	sent := make([]string, n)
	for i := range sent {
		sent[i] = fmt.Sprint(i)
	}
	to := PacketMatch{At: "input", Protocol: "udp", Port: 9000, To: "127.0.0.0/8"}
	out := PacketMatch{At: "output", Port: 9000, Protocol: "udp"}
	other := PacketMatch{At: "input", Protocol: "udp", SourcePort: 9000}
	for _, c := range []struct {
		name    string
		change  *Packets
		matched float64
		acted   [2]float64
		arrived func(g Gomega, got []string, took time.Duration)
	}{
		{"all", &Packets{PacketMatch: to, Drop: 1}, n, [2]float64{n, n}, func(g Gomega, got []string, _ time.Duration) { g.Expect(got).To(BeEmpty()) }},
		{"allowed", &Packets{PacketMatch: to, Drop: 1}, 0, [2]float64{0, 0}, func(g Gomega, got []string, _ time.Duration) { g.Expect(got).To(Equal(sent)) }},
		{"others", &Packets{PacketMatch: other, Drop: 1}, 0, [2]float64{0, 0}, func(g Gomega, got []string, _ time.Duration) { g.Expect(got).To(Equal(sent)) }},
		{"some", &Packets{PacketMatch: to, Drop: 0.5}, n, [2]float64{1, n - 1}, func(g Gomega, got []string, _ time.Duration) {
			g.Expect(len(got)).To(And(BeNumerically(">", 0), BeNumerically("<", n)))
		}},
		{"limit", &Packets{PacketMatch: to, Limit: 5}, n, [2]float64{1, n - 5}, func(g Gomega, got []string, _ time.Duration) { g.Expect(got[:5]).To(Equal(sent[:5])) }},
		{"delay", &Packets{PacketMatch: out, Delay: units.Duration(100 * time.Millisecond)}, n, [2]float64{n, n}, func(g Gomega, got []string, took time.Duration) {
			g.Expect(got).To(Equal(sent))
			g.Expect(took).To(BeNumerically(">=", 100*time.Millisecond))
		}},
		{"jitter", &Packets{PacketMatch: out, Jitter: units.Duration(200 * time.Millisecond)}, n, [2]float64{n, n}, func(g Gomega, got []string, _ time.Duration) {
			g.Expect(got).NotTo(Equal(sent))
			g.Expect(got).To(ConsistOf(sent))
		}},
		{"duplicate", &Packets{PacketMatch: out, Duplicate: 1}, n, [2]float64{n, n}, func(g Gomega, got []string, _ time.Duration) {
			g.Expect(got).To(ConsistOf(slices.Concat(sent, sent)))
		}},
		{"corrupt", &Packets{PacketMatch: out, Corrupt: 1}, n, [2]float64{n, n}, func(g Gomega, got []string, _ time.Duration) {
			g.Expect(got).To(BeEmpty())
			g.Expect(strings.Fields(nstest.Must(t, "nstat -asz UdpInCsumErrors"))).To(ContainElement(fmt.Sprint(n)))
		}},
	} {
		g := NewWithT(t)
		server, err := net.ListenPacket("udp4", "127.0.0.1:9000")
		g.Expect(err).NotTo(HaveOccurred())
		client, err := net.Dial("udp4", "127.0.0.1:9000")
		g.Expect(err).NotTo(HaveOccurred())
		stack := &undo.Stack{}
		ns := &Namespace{Scope: stack.Begin(c.name), Name: "relapse_" + c.name}
		g.Expect(c.change.Validate()).To(Succeed())
		g.Expect(c.change.Apply(t.Context(), ns)).To(Succeed(), c.name)
		allowed := &Namespace{Scope: stack.Begin("allow"), Name: "relapse_allow"}
		if c.name == "allowed" {
			g.Expect((&Packets{PacketMatch: PacketMatch{At: "input", Protocol: "udp"}, Allow: true}).Apply(t.Context(), allowed)).To(Succeed())
		}
		began := time.Now()
		for _, text := range sent {
			_, err := client.Write([]byte(text))
			g.Expect(err).NotTo(HaveOccurred(), c.name)
		}
		var got []string
		var took time.Duration
		read := func() {
			buffer := make([]byte, 100)
			for length, _, err := server.ReadFrom(buffer); err == nil; length, _, err = server.ReadFrom(buffer) {
				got, took = append(got, string(buffer[:length])), time.Since(began)
			}
		}
		g.Expect(server.SetReadDeadline(time.Now().Add(500 * time.Millisecond))).To(Succeed())
		read()
		c.arrived(g, got, took)
		readings, err := c.change.Readings(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(readings).To(And(HaveKeyWithValue("rules", 1.0), HaveKeyWithValue("matched", c.matched), HaveKeyWithValue("errors", 0.0)), c.name)
		g.Expect(readings["packets"]).To(And(BeNumerically(">=", c.acted[0]), BeNumerically("<=", c.acted[1])), c.name)
		g.Expect(allowed.Scope.Undo(t.Context())).To(Succeed())
		g.Expect(ns.Scope.Undo(t.Context())).To(Succeed())
		g.Expect(nstest.Must(t, "nft list ruleset")).To(BeEmpty(), c.name)
		client.Close()
		server.Close()
	}
}

// TestPacketMatchAsNftShowsIt holds each setting against what nft says of the rule.
func TestPacketMatchAsNftShowsIt(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for want, match := range map[string]PacketMatch{
		"type filter hook prerouting priority raw; policy accept;\n\t\tmeta mark & 0x08000000 == 0x00000000 udp dport 53 counter": {At: "prerouting", Protocol: "udp", Port: 53},
		"ip saddr 10.0.0.1 ip daddr 10.1.0.0/16 counter":                            {At: "forward", From: "10.0.0.1", To: "10.1.0.0/16"},
		"tcp sport 80 tcp flags syn,ack / fin,syn,rst,ack counter":                  {At: "forward", SourcePort: 80, Flags: []string{"syn", "ack"}, Protocol: "tcp"},
		"tcp flags rst / fin,syn,rst,ack counter":                                   {At: "output", Flags: []string{"rst"}},
		"icmp type destination-unreachable icmp code frag-needed counter":           {At: "input", ICMP: "fragmentation-needed"},
		"icmp type echo-request counter":                                            {At: "postrouting", ICMP: "8"},
		"ct state invalid counter packets 0 bytes 0 counter packets 0 bytes 0 drop": {At: "input", State: "invalid"},
	} {
		g := NewWithT(t)
		stack := &undo.Stack{}
		ns := &Namespace{Scope: stack.Begin("packets"), Name: "relapse_packets"}
		change := &Packets{PacketMatch: match, Drop: 1}
		g.Expect(change.Validate()).To(Succeed())
		g.Expect(change.Apply(t.Context(), ns)).To(Succeed())
		g.Expect(nstest.Must(t, "nft list table ip relapse_packets")).To(ContainSubstring(want))
		g.Expect(ns.Scope.Undo(t.Context())).To(Succeed())
	}
}
