package faults

import (
	"context"
	"net/netip"
	"runtime"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// TestRoutesAndNeighbours makes changes in a network, looks with ip(8), and undoes them.
func TestRoutesAndNeighbours(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ns := networkOf(t)
	ns.Addresses["node-of/far"] = netip.MustParseAddr("192.168.77.11")
	for name, row := range map[string]struct {
		change interface {
			Change
			Reporter
			Validate() error
		}
		// shows is a command that then prints a text, or nothing if there is none.
		shows, text string
		// twice is true if a second time would change nothing, and is refused.
		twice bool
	}{
		"delete":         {&Route{Action: "delete", ToPod: "far"}, "ip route show 10.244.2.0/24", "", false},
		"delete default": {&Route{Action: "delete", To: "default"}, "ip route show default", "", true},
		"delete own":     {&Route{Action: "delete", ToPod: "web"}, "ip route show 10.244.1.0/24", "", false},
		"replace":        {&Route{Action: "replace", ToPod: "far", ViaNodeOf: "far"}, "ip route show 10.244.2.0/24", "via 192.168.77.11 dev uplink0", true},
		"replace new":    {&Route{Action: "replace", To: "10.9.0.0/16", Via: "192.168.77.5"}, "ip route show 10.9.0.0/16", "via 192.168.77.5", true},
		"blackhole":      {&Route{Action: "blackhole", To: "10.244.3.0/24"}, "ip route show 10.244.3.0/24", "blackhole 10.244.3.0/24 metric 7", true},
		"unreachable":    {&Route{Action: "unreachable", To: "10.244.2.2/32"}, "ip route get 10.244.2.3", "dev overlay0", false},
		"exact":          {&Route{Action: "blackhole", ToPod: "far", Exact: true}, "ip route show type blackhole", "10.244.2.2", true},
		"wrong":          {&Neighbour{Pod: "web", MAC: "02:00:00:00:00:99"}, "ip neigh show dev bridge0", "10.244.1.2 lladdr 02:00:00:00:00:99 PERMANENT", false},
		"wrong next hop": {&Neighbour{Pod: "far", MAC: "02:00:00:00:00:99"}, "ip neigh show dev overlay0", "10.244.2.0 lladdr 02:00:00:00:00:99 PERMANENT", false},
		"forget":         {&Neighbour{Pod: "far", Forget: true}, "ip neigh show dev overlay0", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := take(t)
			var stack undo.Stack
			here := *ns
			here.Scope = stack.Begin("change")
			g.Expect(row.change.Validate()).To(Succeed())
			g.Expect(row.change.Apply(t.Context(), &here)).To(Succeed())
			if row.text == "" {
				g.Expect(nstest.Must(t, row.shows)).To(BeEmpty())
			} else {
				g.Expect(nstest.Must(t, row.shows)).To(ContainSubstring(row.text))
			}
			g.Expect(fingerprint.Diff(before, take(t))).NotTo(BeEmpty())
			proof := "set"
			if neighbour, ok := row.change.(*Neighbour); ok && neighbour.Forget {
				proof = "forgotten"
			}
			g.Expect(row.change.Readings(t.Context())).To(HaveKeyWithValue(proof, 1.0))
			if row.twice {
				g.Expect(row.change.Apply(t.Context(), &here)).To(MatchError(Or(ContainSubstring("already"), ContainSubstring("no route"))))
			}
			g.Expect(stack.UndoAll(t.Context())).To(Succeed())
			g.Expect(fingerprint.Diff(before, take(t))).To(BeEmpty())
			g.Expect(row.change.Readings(t.Context())).To(HaveKeyWithValue("set", 0.0))
		})
	}
	// A remedy that outlives the fault keeps its route, and then leaves what was there before both.
	g := NewWithT(t)
	before := take(t)
	var stack undo.Stack
	at := func(name string, change Change) *undo.Scope {
		here := *ns
		here.Scope = stack.Begin(name)
		g.Expect(change.Apply(context.Background(), &here)).To(Succeed())
		return here.Scope
	}
	fault := at("fault", &Route{Action: "delete", To: "10.244.2.0/24"})
	remedy := at("remedy", &Route{Action: "replace", To: "10.244.2.0/24", Via: "192.168.77.11"})
	g.Expect(fault.Undo(t.Context())).To(Succeed())
	g.Expect(nstest.Must(t, "ip route show 10.244.2.0/24")).To(ContainSubstring("via 192.168.77.11"))
	g.Expect(remedy.Undo(t.Context())).To(Succeed())
	g.Expect(fingerprint.Diff(before, take(t))).To(BeEmpty())
}
