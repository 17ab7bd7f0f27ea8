package faults

import (
	"context"
	"sync/atomic"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

// holding is the running hold of a change.
type holding struct {
	hold  *hold.Hold
	armed atomic.Bool
}

// injectMark is carried by the packets that a hold makes up. kube-proxy's own marks are 0x4000 and 0x8000.
const injectMark = 0x52000000

// start arms a hold that outlives the request: it ends with its undo.
func (h *holding) start(ns *Namespace, spec hold.Spec) error {
	// The hold removes its table itself; one that was killed cannot, and a namespace may outlive it.
	if err := ns.Scope.Push(undo.Record{NftTable: &undo.NftTable{Family: "ip", Name: ns.Name}}); err != nil {
		return err
	}
	if err := ns.Scope.PushFunc("end the hold", func(context.Context) error {
		if h.hold == nil {
			return nil
		}
		h.armed.Store(false)
		return h.hold.Close()
	}); err != nil {
		return err
	}
	spec.Name, spec.Queue = ns.Name, uint16(hash32(ns.Name))
	started, err := hold.Start(context.Background(), spec)
	if err != nil {
		return err
	}
	h.hold = started
	h.armed.Store(true)
	return nil
}

// holdingKeys are the numbers of a change that holds packets: its own, armed and errors.
func holdingKeys(own units.Keys) units.Keys {
	for name, key := range own {
		key.Meets = true
		own[name] = key
	}
	own["armed"] = units.Key{Means: "1 while packets would be held", Kind: units.Share}
	own["errors"] = units.Key{Means: "packets for which the hold failed"}
	return own
}

// readings returns armed, which is 1 while packets would be held, the number of errors, and what pick takes out of the statistics.
func (h *holding) readings(ctx context.Context, pick func(hold.Stats) map[string]float64) (map[string]float64, error) {
	stats, err := h.hold.Stats(ctx)
	if err != nil {
		return nil, err
	}
	readings := pick(stats)
	readings["armed"], readings["errors"] = 0, float64(stats.Errors+stats.VerdictErrors)
	select {
	case <-h.hold.Done():
	default:
		if h.armed.Load() {
			readings["armed"] = 1
		}
	}
	return readings, nil
}

// meetings returns the flows that were held, and the last error of the hold: what it could not hold has passed, so such an attempt does
// not meet the fault.
func (h *holding) meetings() (met []changes.Meeting, trouble string) {
	flows, trouble := h.hold.Meetings()
	for _, m := range flows {
		met = append(met, changes.Meeting{At: m.At, Flow: m.Flow.String(), Ports: [2]uint16{m.Flow.Src.Port(), m.Flow.Dst.Port()}})
	}
	return met, trouble
}

// fromServer catches what a TCP server in the namespace sends, before anything else sees it.
func fromServer(port int, policy hold.Policy) hold.Spec {
	return hold.Spec{
		Match:  hold.Match{Proto: protocolNumber("tcp"), SrcPort: uint16(port)},
		Hook:   hold.Output,
		Policy: policy,
	}
}
