package nflog_test

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nflog"
)

const group = 7

// logOutput makes a rule that logs every UDP packet of the namespace to the group.
func logOutput(t *testing.T, prefix string) {
	t.Helper()
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
	conn, err := nftables.New()
	g.Expect(err).NotTo(HaveOccurred())
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "relapse-test"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX, Group: group, Data: []byte(prefix)},
	}})
	g.Expect(conn.Flush()).To(Succeed())
}

// send sends packets of some bytes to a port of the namespace's own where nobody listens.
func send(t *testing.T, packets, bytes int) {
	t.Helper()
	g := NewWithT(t)
	for range packets {
		conn, err := net.Dial("udp", "127.0.0.1:5353")
		g.Expect(err).NotTo(HaveOccurred())
		_, err = conn.Write(make([]byte, bytes))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(conn.Close()).To(Succeed())
	}
}

func TestLoggedPacketsAreReadWithTheirPrefix(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	logOutput(t, "the rule's prefix 12")
	log, err := nflog.Open(t.Context(), group)
	g.Expect(err).NotTo(HaveOccurred())
	send(t, 3, 1000)
	for range 3 {
		p, err := log.Receive()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(p.Prefix).To(Equal("the rule's prefix 12"))
		g.Expect(p.Payload).To(HaveLen(128), "the headers are enough")
		g.Expect(binary.BigEndian.Uint16(p.Payload[22:])).To(BeEquivalentTo(5353))
	}
	g.Expect(log.Close()).To(Succeed())
}

func TestAGroupHasOneListener(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	first, err := nflog.Open(t.Context(), group)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = nflog.Open(t.Context(), group)
	g.Expect(err).To(MatchError(unix.EPERM))
	g.Expect(err).To(MatchError(ContainSubstring("log group 7: bind")))

	waiting := make(chan error)
	go func() {
		_, err := first.Receive()
		waiting <- err
	}()
	g.Expect(first.Close()).To(Succeed())
	g.Expect(<-waiting).To(MatchError(net.ErrClosed))

	again, err := nflog.Open(t.Context(), group)
	g.Expect(err).NotTo(HaveOccurred(), "the group is free again")
	g.Expect(again.Close()).To(Succeed())
}

// Packets that find the receive buffer full are lost, and those after them are read.
func TestAnOverrunIsSurvived(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	logOutput(t, "flood")
	log, err := nflog.Open(t.Context(), group)
	g.Expect(err).NotTo(HaveOccurred())
	const flood = 10_000
	send(t, flood, 100)
	// Larger packets, until one finds room.
	seen := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-seen:
				return
			default:
				send(t, 1, 200)
			}
		}
	})
	read := 0
	for {
		p, err := log.Receive()
		g.Expect(err).NotTo(HaveOccurred())
		if binary.BigEndian.Uint16(p.Payload[2:]) > 200 {
			break
		}
		read++
	}
	close(seen)
	sending.Wait()
	g.Expect(read).To(And(BeNumerically(">", 0), BeNumerically("<", flood)))
	g.Expect(log.Close()).To(Succeed())
	_, err = log.Receive()
	g.Expect(err).To(MatchError(net.ErrClosed))
}
