package scenario

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// validator checks what a scenario means, after its text was read. It works on what could be read: where something could
// not, nothing more is said of it.
type validator struct {
	s   *Scenario
	cat Catalogues
	r   *report

	sources, probes, variants, detectors, remedies, controls, claims names
	pods, nodes, offers                                              names
}

func validate(s *Scenario, cat Catalogues, r *report) {
	v := &validator{s: s, cat: cat, r: r}
	v.collect()
	v.head()
	v.workload()
	v.probeList()
	v.variantList()
	v.detectorList()
	v.remedyList()
	v.controlList()
	v.claimList()
	v.differenceList()
	v.evidence()
	v.ranges("", s)
}

// collect reads all names first, for references go in both directions.
func (v *validator) collect() {
	s := v.s
	v.sources = v.names("source", "sources", "metadata.sources", len(s.Metadata.Sources), func(i int) string { return s.Metadata.Sources[i].ID })
	v.probes = v.names("probe", "probes", "probes", len(s.Probes), func(i int) string { return s.Probes[i].ID })
	v.variants = v.names("variant", "variants", "variants", len(s.Variants), func(i int) string { return s.Variants[i].ID })
	v.detectors = v.names("detector", "detectors", "detection", len(s.Detection), func(i int) string { return s.Detection[i].ID })
	v.remedies = v.names("remedy", "remedies", "remedies", len(s.Remedies), func(i int) string { return s.Remedies[i].ID })
	v.controls = v.names("control", "controls", "controls", len(s.Controls), func(i int) string { return s.Controls[i].ID })
	v.claims = v.names("claim", "claims", "claims", len(s.Claims), func(i int) string { return s.Claims[i].ID })
	v.offers = names{noun: "offer", plural: "offers", list: sortedKeys(v.cat.Offers)}
	v.collectNodes()
	v.collectPods()
}

func (v *validator) head() {
	m := v.s.Metadata
	v.constant("apiVersion", v.s.APIVersion, APIVersion)
	v.constant("kind", v.s.Kind, Kind)
	if m.ID != "" && !validName(m.ID) {
		v.r.addAt("metadata.id", "%q is not a name: use lower case letters, digits and dashes inside", m.ID)
	}
	if strings.Contains(m.Title, "\n") || strings.HasSuffix(m.Title, ".") {
		v.r.addAt("metadata.title", "a title is one line without a full stop")
	}
	if n := sentences(m.Summary); n > 10 {
		v.r.addAt("metadata.summary", "a summary has at most 10 sentences, this has %d", n)
	}
	v.atLeastOne("metadata.sources", len(m.Sources), "a failure that nobody described has no claims to check: give at least one source")
	for i, source := range m.Sources {
		path := index("metadata.sources", i)
		if source.URL == "" && source.Section == "" && !v.r.broken(path) {
			v.r.addAt(path, "a source needs a url or a section for readers to find it")
		}
		if u, err := url.Parse(source.URL); source.URL != "" && (err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "") {
			v.r.addAt(join(path, "url"), "%q is not a web address: start with https://", source.URL)
		}
	}
	v.needs("needs", v.s.Needs)
}

func (v *validator) constant(path, found, want string) {
	if found != "" && found != want {
		v.r.addAt(path, "must be %s, found %q", want, found)
	}
}

var sentenceEnd = regexp.MustCompile(`[.!?][)"'”]*(\s+[^\sa-z]|\s*$)`)

// sentences counts ends of sentences. A small letter goes on after "e.g." and the like.
func sentences(text string) int { return len(sentenceEnd.FindAllString(text, -1)) }

func (v *validator) atLeastOne(path string, n int, message string) {
	if n == 0 {
		v.r.addAt(path, "%s", message)
	}
}

func (v *validator) needs(path string, needs []string) {
	for i, need := range needs {
		v.ref(index(path, i), need, v.offers)
	}
}

func (v *validator) sourceOf(path, id string) {
	if id != "" {
		v.ref(join(path, "source"), id, v.sources)
	}
}

func (v *validator) evidence() {
	for i, command := range v.s.Evidence {
		path := index("evidence", i)
		v.place(join(path, "on"), command.On)
		v.atLeastOne(join(path, "run"), len(command.Run), "give the program and its arguments")
	}
}

// variantsOf checks a list of variants and returns the positions of those that it selects.
func (v *validator) variantsOf(path string, limitedTo []string) []int {
	at := join(path, "variants")
	for i, id := range limitedTo {
		if slices.Contains(limitedTo[:i], id) {
			v.r.addAt(index(at, i), "%q is given twice", id)
		}
		v.ref(index(at, i), id, v.variants)
	}
	if v.r.has(at) && len(limitedTo) == 0 {
		v.r.addAt(at, "an empty list: leave it out where all variants are meant")
	}
	var selected []int
	for i, variant := range v.s.Variants {
		if Applies(limitedTo, variant.ID) {
			selected = append(selected, i)
		}
	}
	return selected
}
