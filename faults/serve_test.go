package faults

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// scripted is a change that does what a test says.
type scripted struct {
	apply func(ctx context.Context, ns *Namespace) error
}

func (c *scripted) Apply(ctx context.Context, ns *Namespace) error { return c.apply(ctx, ns) }

// serve returns the operations of an agent whose catalogue has one change more.
func serve(t *testing.T, apply func(ctx context.Context, ns *Namespace) error) (call func(op, id string) error, read func(id string) map[string]float64) {
	Catalogue["scripted"] = Entry{New: func() any { return &scripted{apply: apply} }}
	t.Cleanup(func() { delete(Catalogue, "scripted") })
	ops := map[string]agent.Handler{}
	(&Server{Stack: &undo.Stack{}}).Register(ops)
	call = func(op, id string) error {
		var params any = id
		if op == changes.Apply.Name {
			params = changes.Request{ID: id, Name: "scripted", Config: json.RawMessage("{}")}
		}
		text, err := json.Marshal(params)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		_, err = ops[op](t.Context(), text, nil)
		return err
	}
	read = func(id string) map[string]float64 {
		answer, err := ops[changes.Read.Name](t.Context(), json.RawMessage(`"`+id+`"`), nil)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return answer.(map[string]float64)
	}
	return call, read
}

func TestWhatAnAgentCouldNotUndoIsTriedAgain(t *testing.T) {
	for name, applied := range map[string]error{"applied": nil, "half applied": errors.New("half")} {
		g := NewWithT(t)
		busy, undone := errors.New("busy"), 0
		call, read := serve(t, func(_ context.Context, ns *Namespace) error {
			return errors.Join(ns.Scope.PushFunc("end it", func(context.Context) error { undone++; return busy }), applied)
		})
		if err := call(changes.Apply.Name, "a"); applied != nil {
			g.Expect(err).To(MatchError(And(ContainSubstring("half"), ContainSubstring("busy"))), name)
		}
		g.Expect(read("a")).To(Equal(map[string]float64{"applied": map[bool]float64{true: 1}[applied == nil]}), name)
		g.Expect(call(changes.Apply.Name, "a")).To(MatchError("scripted: already applied"), name)
		g.Expect(call(changes.Undo.Name, "a")).To(MatchError(ContainSubstring("busy")), name)
		g.Expect(read("a")).To(HaveKeyWithValue("applied", 0.0), name+": undoing it has begun")
		busy = nil
		before := undone
		g.Expect(call(changes.Undo.Name, "a")).To(Succeed(), name)
		g.Expect(undone).To(Equal(before+1), name)
		g.Expect(call(changes.Undo.Name, "a")).To(Succeed(), name)
		g.Expect(undone).To(Equal(before+1), name)
	}
}

func TestUndoWaitsForAChangeThatIsBeingMade(t *testing.T) {
	g := NewWithT(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	on := false
	call, _ := serve(t, func(_ context.Context, ns *Namespace) error {
		err := ns.Scope.PushFunc("end it", func(context.Context) error { on = false; return nil })
		close(began)
		<-goOn
		on = true
		return err
	})
	applied, undone := make(chan error, 1), make(chan error, 1)
	go func() { applied <- call(changes.Apply.Name, "a") }()
	<-began
	go func() { undone <- call(changes.Undo.Name, "a") }()
	g.Consistently(undone).ShouldNot(Receive())
	close(goOn)
	g.Eventually(applied).Should(Receive(BeNil()))
	g.Eventually(undone).Should(Receive(BeNil()))
	g.Expect(on).To(BeFalse())
}

func TestAddressesThatTheNodeHasAlreadyStay(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := NewWithT(t)
	nstest.Must(t, "ip addr add "+ClusterDNS+"/32 dev lo")
	before := nstest.Must(t, "ip addr show dev lo")
	scope := (&undo.Stack{}).Begin("addresses")
	err := (&NodeLocalAddresses{}).Apply(t.Context(), &Namespace{Scope: scope, Name: "relapse_addresses"})
	g.Expect(err).To(MatchError("lo has the address 10.96.0.10/32 already"))
	g.Expect(scope.Undo(t.Context())).To(Succeed())
	g.Expect(nstest.Must(t, "ip addr show dev lo")).To(Equal(before))
}
