package load

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// validator checks what a scenario means, after its text was read. It works on what could be read: nothing more is
// reported about the rest.
type validator struct {
	s   *scenario.Scenario
	cat scenario.Catalogues
	r   *report

	sources, probes, variants, detectors, remedies, controls, claims names
	pods, nodes, offers, readers                                     names

	// timeouts are those of the probes that bounds are about, by the paths of the bounds' structs.
	timeouts map[string]units.Duration
	// containers are the names of a Pod's containers, volumes those of the ConfigMaps that are its volumes, and keys a ConfigMap's keys:
	// those of all objects of a name, because variants may have their own.
	containers, volumes, keys map[string][]string
	// images are those of all pods, without registry and tag.
	images []string
	// recorded is whether the scenario was run already.
	recorded bool
}

func validate(s *scenario.Scenario, cat scenario.Catalogues, r *report, recorded bool) {
	v := &validator{s: s, cat: cat, r: r, recorded: recorded, timeouts: map[string]units.Duration{}}
	v.collect()
	v.head()
	v.workload()
	v.kubernetesObjects()
	v.probeList()
	v.variantList()
	v.detectorList()
	v.remedyList()
	v.controlList()
	v.claimList()
	v.differenceList()
	v.evidence()
	v.everywhere()
	v.possible()
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
	v.readers = names{noun: "reader", plural: "readers", list: []string{"change/ID"}}
	for _, name := range sortedKeys(v.cat.Readers) {
		v.readers.list = append(v.readers.list, v.cat.Readers[name].Form(name))
	}
	v.collectNodes()
	v.collectPods()
}

func (v *validator) head() {
	m := v.s.Metadata
	v.constant("apiVersion", v.s.APIVersion, scenario.APIVersion)
	v.constant("kind", v.s.Kind, scenario.Kind)
	if m.ID != "" && !scenario.ValidName(m.ID) {
		v.notName("metadata.id", m.ID)
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

func (v *validator) probeList() {
	v.atLeastOne("probes", len(v.s.Probes), "without a probe nothing is noticed: give at least one")
	v.atLeastOne("healthy", len(v.s.Healthy), "say what the probes show when nothing is wrong: give at least one expectation")
	for i, probe := range v.s.Probes {
		path := index("probes", i)
		if place, err := scenario.ParsePlace(probe.From); err == nil && !slices.Contains([]string{"pod", "node", "node-of", "outside"}, place.Kind) {
			v.r.addAt(join(path, "from"), "a probe cannot run in %q: it must be pod/NAME, node/NAME, node-of/POD or outside", place)
		}
		if probe.Every == 0 {
			v.r.addAt(join(path, "every"), "must be more than 0s")
		}
		if probe.Timeout == 0 {
			v.r.addAt(join(path, "timeout"), "must be more than 0s")
		}
		v.variantsOf(path, probe.Variants)
		v.readingsIn(join(path, probe.Use.Name), probe.Use.Config, names{noun: "step", plural: "steps that are on then"})
	}
}

func (v *validator) evidence() {
	for i, command := range v.s.Evidence {
		path := index("evidence", i)
		v.command(join(path, "run"), command.Run)
	}
}

// variantsOf checks a list of variants and returns the positions of those that it selects.
func (v *validator) variantsOf(path string, limitedTo []string) []int {
	at := join(path, "variants")
	for i, id := range limitedTo {
		if slices.Contains(limitedTo[:i], id) {
			v.r.addAt(index(at, i), "%q is given twice", id)
		}
	}
	if v.r.has(at) && len(limitedTo) == 0 {
		v.r.addAt(at, "an empty list: leave it out if all variants are meant")
	}
	var selected []int
	for i, variant := range v.s.Variants {
		if scenario.Applies(limitedTo, variant.ID) {
			selected = append(selected, i)
		}
	}
	return selected
}
