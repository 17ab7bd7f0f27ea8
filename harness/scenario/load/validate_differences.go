package load

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

func (v *validator) differenceList() {
	for i, d := range v.s.Differences {
		path := index("differences", i)
		v.subject(path, d)
		v.sides(join(path, "on"), d)
		again := slices.IndexFunc(v.s.Differences[:i], func(o scenario.Difference) bool { return o.Subject == d.Subject })
		if again >= 0 && d.Subject != (scenario.Subject{}) {
			v.r.addAt(path, "differences[%d] is about the same: put all results in one entry", again)
		}
	}
}

// subject checks that what differs exists.
func (v *validator) subject(path string, d scenario.Difference) {
	inPhase := v.r.has(join(path, "variant")) || v.r.has(join(path, "phase")) || v.r.has(join(path, "detector"))
	switch claim := join(path, "claim"); {
	case v.r.has(claim) && inPhase:
		v.r.addAt(path, "claim is given beside variant, phase or detector: a claim has its own")
	case v.r.has(claim):
		v.ref(claim, d.Claim, v.claims)
	case !v.r.has(join(path, "variant")) || !v.r.has(join(path, "phase")):
		v.r.addAt(path, "say what differs: give claim, or variant and phase, and for a detector that too")
	default:
		v.lookedAt(path, d.Subject)
	}
}

// sides checks that something differs, and that no run is covered twice.
func (v *validator) sides(path string, d scenario.Difference) {
	are, words := "a symptom is shown, partly or absent", []string{"shown", "partly", "absent"}
	switch {
	case d.Claim != "":
		are, words = "a claim holds or is refuted", []string{"holds", "refuted"}
	case d.Detector != "":
		are, words = "a detector has fired or is quiet", []string{"fired", "quiet"}
	}
	differs := len(d.On) < 2 || v.r.broken(path)
	for i, o := range d.On {
		at := index(path, i)
		if !v.r.has(join(at, "cluster")) && !v.r.has(join(at, "proxy")) {
			v.r.addAt(at, "say on which clusters: give cluster, proxy or both")
		}
		if o.Says != "" && !slices.Contains(words, o.Says) {
			v.r.addAt(join(at, "says"), "%s, not %s", are, o.Says)
		}
		for k, other := range d.On[:i] {
			if meet(o.Cluster, other.Cluster) && meet(o.Proxy, other.Proxy) && !v.r.broken(path) {
				v.r.addAt(at, "a run may be covered by this and by on[%d]: give the two different clusters or proxies", k)
			}
			differs = differs || o.Says != other.Says
		}
	}
	if !differs {
		v.r.addAt(path, "nothing differs: all results are the same")
	}
}

// meet reports whether something can be both; not given means any.
func meet(a, b string) bool { return a == "" || b == "" || a == b }
