package faults

import (
	"net"
	"runtime"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestSlowNFQueue(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := NewWithT(t)
	client, err := net.Dial("udp4", "127.0.0.1:9000")
	g.Expect(err).NotTo(HaveOccurred())
	defer client.Close()
	stack := &undo.Stack{}
	starved, fed := &Namespace{Scope: stack.Begin("starved"), Name: "relapse_starved"}, &Namespace{Scope: stack.Begin("fed"), Name: "relapse_fed"}
	match := PacketMatch{At: "input", Protocol: "udp", Port: 9000, From: "127.0.0.1"}
	change := &SlowNFQueue{PacketMatch: match, Length: 3}
	g.Expect(change.Apply(t.Context(), starved)).To(Succeed())
	for range 10 {
		_, err := client.Write([]byte("x"))
		g.Expect(err).To(Or(BeNil(), MatchError(ContainSubstring("refused"))))
	}
	read := func() map[string]float64 {
		values, err := readers.Catalogue["nfqueue"].Read(t.Context())
		if err != nil {
			t.Skip(err) // in a user namespace
		}
		return values
	}
	g.Expect(read()).To(Equal(map[string]float64{"queues": 1, "queue_total": 3, "queue_dropped": 7, "queue_user_dropped": 0}))
	g.Expect(change.Readings(t.Context())).To(And(HaveKeyWithValue("matched", 10.0), HaveKeyWithValue("passed", 0.0), HaveKeyWithValue("armed", 1.0)))

	g.Expect((&SlowNFQueue{PacketMatch: match, Length: 3, Rate: 1000}).Apply(t.Context(), fed)).To(Succeed())
	g.Eventually(change.Readings).WithArguments(t.Context()).Should(And(HaveKeyWithValue("passed", 3.0), HaveKeyWithValue("waiting", 0.0), HaveKeyWithValue("rate", 1000.0)))
	g.Expect(fed.Scope.Undo(t.Context())).To(Succeed())
	g.Expect(change.Readings(t.Context())).To(HaveKeyWithValue("rate", 0.0))
	g.Expect(starved.Scope.Undo(t.Context())).To(Succeed())
	g.Expect(read()).To(HaveKeyWithValue("queues", 0.0))
}
