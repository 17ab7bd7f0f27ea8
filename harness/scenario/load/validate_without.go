package load

import (
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// without checks that a variant has a detector that must fire, a remedy and a control, or says why it has none.
func (v *validator) without(path string, variant scenario.Variant) {
	at := join(path, "without")
	if variant.ID == "" || v.r.blocked(path) || v.r.broken(at) {
		return
	}
	fires := slices.ContainsFunc(v.s.Detection, func(d scenario.Detector) bool {
		return d.Expect != scenario.ExpectSilent && scenario.Applies(d.Variants, variant.ID)
	})
	tried := slices.ContainsFunc(v.s.Controls, func(c scenario.Control) bool { return scenario.Applies(c.Variants, variant.ID) })
	check := func(name, list, reason, missing string, given bool) {
		reason = strings.TrimSpace(reason)
		switch {
		case v.r.broken(list):
		case given && reason != "":
			v.r.addAt(join(at, name), "variant %q has a %s: leave the reason out", variant.ID, name)
		case !given && reason == "":
			v.r.addAt(path, "%s in variant %q: add one, or say why in without.%s", missing, variant.ID, name)
		}
	}
	check("detector", "detection", variant.Without.Detector, "no detector must fire", fires)
	// That there is none at all is said elsewhere.
	cured := len(v.s.Remedies) == 0 || variant.RepairedBy != "" && variant.Without.Remedy == "" || slices.ContainsFunc(v.s.Remedies, func(r scenario.Remedy) bool { return scenario.Applies(r.Variants, variant.ID) })
	check("remedy", "remedies", variant.Without.Remedy, "there is no remedy", cured)
	check("control", "controls", variant.Without.Control, "there is no control", tried)
}
