// Package results keeps what is worth remembering of runs when their folders are gone: one Result for each variant of a run, without
// evidence. A store of results is a folder that only grows, so that a git branch, an artefact or a disk can hold it, and stores can be
// merged in any order and more than once.
package results

import (
	"cmp"
	"regexp"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// Format is the version of the lines that this relapse writes. Lines of older formats stay readable; those of newer ones are kept and
// reported.
const Format = 1

// Result is what one run showed of one variant of its scenario: a line of a store. Durations are numbers of seconds.
type Result struct {
	Format int `json:"format"`
	// Run is the run's id, and Variant the variant's. Variant is empty if the run broke down before anybody knew its variants.
	Run     string `json:"run"`
	Variant string `json:"variant"`
	// Mechanism is native, forced or emulated.
	Mechanism string `json:"mechanism,omitempty"`
	// Revision counts how often the same run was added again with something else in it, such as a new verdict. The highest counts.
	Revision int    `json:"revision,omitempty"`
	Scenario string `json:"scenario"`
	Title    string `json:"title,omitempty"`
	// Digest of the scenario file: sha256:….
	Digest string `json:"digest,omitempty"`
	// Start of the run.
	Start time.Time `json:"start"`
	// Took is how long the longest lane of the variant was.
	Took float64     `json:"took_s,omitempty"`
	Env  Environment `json:"env"`
	// Versions of relapse, Go, kernel, kube-proxy, CoreDNS, C library, tools: name to version.
	Versions map[string]string `json:"versions,omitempty"`
	// Command line, as a person would type it to run this again.
	Command []string `json:"command,omitempty"`
	// Folder is the name of the run folder, without the path to it.
	Folder string `json:"folder,omitempty"`
	// Outcome and Reason are the variant's. If variants passed and the run as a whole did not, such as because of what it left on the
	// machine, they are the run's.
	Outcome judge.Outcome `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	// Crashed is whether the run ended before it was judged.
	Crashed bool `json:"crashed,omitempty"`
	// Reproduction is about the attempts of phase fault.
	Reproduction Reproduction `json:"reproduction"`
	Phases       []Phase      `json:"phases,omitempty"`
	// Claims are those that are checked in this variant.
	Claims []Claim `json:"claims,omitempty"`
	// Restored is whether host and clusters were as before; nil if nobody looked.
	Restored *bool `json:"restored,omitempty"`
}

// Reproduction says how often the failure was seen. Trials are the Attempts that the fault met, Hits are those of them that show it.
type Reproduction struct {
	Hits     int `json:"hits"`
	Trials   int `json:"trials"`
	Attempts int `json:"attempts"`
}

// Phase is a stage of a run, over all lanes that went through it.
type Phase struct {
	// Name is baseline, fault, remedy/ID, relapse/ID, control/ID or restored.
	Name    string        `json:"name"`
	Outcome judge.Outcome `json:"outcome"`
	// Why is the first thing that was not as expected.
	Why string `json:"why,omitempty"`
	// Took is how long the longest lane was in it.
	Took    float64   `json:"took_s,omitempty"`
	Symptom *Sighting `json:"symptom,omitempty"`
	// Probes sums up the attempts of each probe, by its id.
	Probes map[string]Samples `json:"probes,omitempty"`
	// Detectors is what each said, by its id.
	Detectors map[string]Detected `json:"detectors,omitempty"`
	// Recovery is the time from the last change of the phase to the end of the first attempt of the symptom's probe after which the
	// symptom was not seen any more: the median of the lanes. It is nil in phases that show the failure, and if there was no recovery.
	Recovery *float64 `json:"recovery_s,omitempty"`
}

// Sighting is how much of the failure a phase shows: see judge.Sighting.
type Sighting struct {
	// Says is shown, partly or absent.
	Says   string `json:"says"`
	Hits   int    `json:"hits"`
	Trials int    `json:"trials"`
	Failed int    `json:"failed,omitempty"`
	Missed int    `json:"missed,omitempty"`
}

// Samples sums up the attempts of a probe in a phase: how long they took.
type Samples struct {
	Count  int     `json:"count"`
	Failed int     `json:"failed,omitempty"`
	P50    float64 `json:"p50_s"`
	P99    float64 `json:"p99_s"`
	Max    float64 `json:"max_s"`
}

// What detectors say.
const (
	Fired = "fired"
	Quiet = "quiet"
	// Blind is a detector that saw nothing to decide by.
	Blind = "blind"
)

// Detected is what a detector said of a phase.
type Detected struct {
	// Says is fired, quiet or blind.
	Says string `json:"says"`
	// Expected is fired or quiet, or empty if it is not judged in this phase.
	Expected string `json:"expected,omitempty"`
	// Seen is its reading in words, if it did not say what was expected.
	Seen string `json:"seen,omitempty"`
	// After is the time from the last change of the phase until it fired: the median of the lanes. It is nil if it did not fire, and for
	// the kernel's log, which all lanes share.
	After *float64 `json:"after_s,omitempty"`
}

// Claim is what became of a claim.
type Claim struct {
	ID string `json:"id"`
	// Says is the claim in a sentence.
	Says string `json:"says,omitempty"`
	// Expected and Result are holds, refuted or untested.
	Expected string `json:"expected"`
	Result   string `json:"result"`
	// Excused is whether it is untested because of what the cluster at hand cannot show.
	Excused bool `json:"excused,omitempty"`
	// Seen is the evidence in words, if the result is not the expected one.
	Seen string `json:"seen,omitempty"`
}

// Environment is where a run took place, without what changes from day to day.
type Environment struct {
	// Cluster is lab or kind.
	Cluster string `json:"cluster"`
	// CNI is the network plugin of a real cluster.
	CNI string `json:"cni,omitempty"`
	// Proxy is kube-proxy's mode.
	Proxy string `json:"proxy"`
	// Kubernetes and Kernel are versions of two numbers: 1.36, 6.18.
	Kubernetes string `json:"kubernetes,omitempty"`
	Kernel     string `json:"kernel,omitempty"`
	// Host is a name for the kind of machine, if one was given, such as ubuntu-24.04.
	Host string `json:"host,omitempty"`
}

// Key is the environment as a text by which results are found: kind/cilium/nftables/k8s-1.36/linux-6.18. The host's name is there in
// place of the kernel, if it has one: then an update of the kernel is a change in that environment, and not another environment.
func (e Environment) Key() string {
	parts := []string{e.Cluster}
	add := func(prefix, text string) {
		if text != "" {
			parts = append(parts, prefix+strings.ReplaceAll(text, "/", "-"))
		}
	}
	add("", e.CNI)
	add("", e.Proxy)
	add("k8s-", e.Kubernetes)
	if e.Host != "" {
		add("", e.Host)
	} else {
		add("linux-", e.Kernel)
	}
	return strings.Join(parts, "/")
}

var twoNumbers = regexp.MustCompile(`^v?([0-9]+\.[0-9]+)`)

// EnvironmentOf is the environment of a run; host is a name for the kind of machine, or empty.
func EnvironmentOf(cluster, proxy string, versions map[string]string, host string) Environment {
	short := func(version string) string {
		if m := twoNumbers.FindStringSubmatch(version); m != nil {
			return m[1]
		}
		return ""
	}
	cni, _, _ := strings.Cut(versions["cni"], " ")
	return Environment{
		Cluster: cluster, CNI: cni, Proxy: proxy, Kubernetes: short(versions["kubernetes"]), Kernel: short(versions["kernel"]), Host: host,
	}
}

// Phase finds a phase by its name, or returns nil.
func (r *Result) Phase(name string) *Phase {
	for i := range r.Phases {
		if r.Phases[i].Name == name {
			return &r.Phases[i]
		}
	}
	return nil
}

// Compare orders results: by time, then run, variant and revision.
func Compare(a, b *Result) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Run, b.Run), cmp.Compare(a.Variant, b.Variant), cmp.Compare(a.Revision, b.Revision))
}
