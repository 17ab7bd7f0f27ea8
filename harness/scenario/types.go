// Package scenario holds the scenario format v1alpha1: the Go types are its source, from which the JSON Schema is
// generated; files are loaded strictly and all errors of a file are reported at once.
package scenario

import (
	"encoding/json"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Raw is a part of a file whose Go type is known only to a catalogue (of changes, probes or detectors), kept as JSON.
type Raw = json.RawMessage

// APIVersion and Kind stand at the head of every scenario file.
const (
	APIVersion = "relapse/v1alpha1"
	Kind       = "Scenario"
)

// Scenario is one known failure: where it happens, how it is brought about, how it shows, how it is seen and cured. A file has at most
// 1 MiB, 20000 values and 50 levels, a list at most 100 items. No duration is longer than 10m.
type Scenario struct {
	// APIVersion is relapse/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind is Scenario.
	Kind string `json:"kind"`
	// Metadata says what the failure is and who described it.
	Metadata Metadata `json:"metadata"`
	// Needs lists what a cluster must offer; if one is missing, the scenario is skipped and the report says why.
	Needs []string `json:"needs,omitempty" ref:"offer"`
	// Topology is the shape of the cluster.
	Topology Topology `json:"topology"`
	// Workload is a list of plain Kubernetes objects. A Deployment has at most 100 replicas.
	Workload []Raw `json:"workload"`
	// Probes sample what a user of the cluster would notice.
	Probes []Probe `json:"probes"`
	// Healthy says what the probes show when nothing is wrong: judged in the baseline, after each remedy and at the end.
	Healthy []ProbeExpectation `json:"healthy"`
	// Variants are the ways to bring the failure about; most scenarios have one, named default.
	Variants []Variant `json:"variants"`
	// Detection lists the documented ways to see the failure.
	Detection []Detector `json:"detection"`
	// Remedies lists the documented cures.
	Remedies []Remedy `json:"remedies"`
	// Controls are checks of the check: a plausible but wrong cure, or a near miss of the fault.
	Controls []Control `json:"controls,omitempty"`
	// Claims are sentences from documents that this scenario holds against the kernel at hand.
	Claims []Claim `json:"claims"`
	// Differences are results that differ between clusters although neither is at fault, each with its reason. What follows from
	// repairedBy, needs and the cases of claims needs no entry.
	Differences []Difference `json:"differences,omitempty"`
	// Evidence lists documented commands whose output is kept, before and during the fault.
	Evidence []Command `json:"evidence,omitempty"`
}

// Metadata describes a scenario to people.
type Metadata struct {
	// ID is the scenario's name in commands, files and reports: lower case letters, digits and dashes.
	ID string `json:"id"`
	// Title is one line without a full stop.
	Title string `json:"title"`
	// Layer is where the failure sits.
	Layer string `json:"layer" jsonschema:"enum=dns,enum=service,enum=L7,enum=L4,enum=L3,enum=L2,enum=policy,enum=cni"`
	// Labels are words to filter by.
	Labels []string `json:"labels,omitempty"`
	// Summary explains the failure in ten sentences or fewer, for a tired engineer.
	Summary string `json:"summary"`
	// Sources are the documents that describe the failure.
	Sources []Source `json:"sources"`
}

// Source is a document.
type Source struct {
	// ID is how claims refer to it.
	ID string `json:"id"`
	// Title of the document.
	Title string `json:"title"`
	// Section of the document, if it has sections.
	Section string `json:"section,omitempty"`
	// URL of the document.
	URL string `json:"url,omitempty"`
}

// Topology is the shape of the cluster.
type Topology struct {
	// Nodes is how many nodes there are, named node-1, node-2, …
	Nodes int `json:"nodes" jsonschema:"minimum=1,maximum=9"`
	// PodNetwork is how packets get from node to node: routes on the nodes' network, or VXLAN. Default: routes.
	PodNetwork string `json:"podNetwork,omitempty" jsonschema:"enum=routes,enum=vxlan"`
	// Exclusive is true if the clusters need so much of the machine that no other scenario should run at the same time.
	Exclusive bool `json:"exclusive,omitempty"`
}

// Probe samples one thing, attempt by attempt. Beside these fields it has exactly one more, whose name says what kind of
// probe it is and which holds that kind's settings.
type Probe struct {
	// ID names the probe in expectations and reports.
	ID string `json:"id"`
	// From is where the attempts are made: pod/NAME, node/NAME, node-of/POD, or outside.
	From string `json:"from" ref:"place"`
	// Attempts is how many are made in each phase: at most 10000, and no more than start within 10m. Default: 20.
	Attempts int `json:"attempts,omitempty" jsonschema:"minimum=1,maximum=10000"`
	// Every is the time from the start of one attempt to the start of the next. Default: 20ms.
	Every units.Duration `json:"every,omitempty"`
	// Timeout ends an attempt, which has then failed. Default: 10s.
	Timeout units.Duration `json:"timeout,omitempty"`
	// Variants limits the probe to these variants. Default: all.
	Variants []string `json:"variants,omitempty" ref:"variant"`
	// Background probes go on until all others have made their attempts.
	Background bool `json:"background,omitempty"`

	// Use is the kind of probe and its settings.
	Use Use `json:"-"`
}

// Use is one entry of a catalogue with its settings: the one-key union of steps, probes and detectors.
type Use struct {
	// Name in the catalogue.
	Name string
	// Config is a pointer to the entry's Go type, filled from the file.
	Config any
}

// ProbeExpectation is what the samples of one probe in one phase must show. Every bound that is given must hold.
type ProbeExpectation struct {
	// Probe is the probe's id.
	Probe string `json:"probe" ref:"probe"`
	// Count is how many attempts there must be.
	Count *units.NumberRange `json:"count,omitempty"`
	// Failed is the share of attempts that failed.
	Failed *units.PercentRange `json:"failed,omitempty"`
	// Fastest is the shortest attempt.
	Fastest *units.DurationRange `json:"fastest,omitempty"`
	// P50 is the median over the attempts, failed ones included.
	P50 *units.DurationRange `json:"p50,omitempty"`
	// P99 is the 99th percentile over the attempts, failed ones included.
	P99 *units.DurationRange `json:"p99,omitempty"`
	// Slowest is the longest attempt.
	Slowest *units.DurationRange `json:"slowest,omitempty"`
	// Busiest is the share of the answers that came from the pod that gave most of them. It is for probes that know which pod answered.
	Busiest *units.PercentRange `json:"busiest,omitempty"`
}

// Symptom is the failure as a user notices it.
type Symptom struct {
	// Probe is the id of the probe that notices it; its attempts are the trials of the reproduction rate.
	Probe string `json:"probe" ref:"probe"`
	// Attempt says when one attempt shows the symptom.
	Attempt AttemptCriterion `json:"attempt"`
	// Share is how many of the attempts must show it. Default: at least 100%.
	Share *units.PercentRange `json:"share,omitempty"`
	// Also lists what else must be seen beside it, such as old connections that live on.
	Also []ProbeExpectation `json:"also,omitempty"`
}

// AttemptCriterion says when one attempt shows the symptom; every part that is given must hold.
type AttemptCriterion struct {
	// Failed is whether the attempt failed.
	Failed *bool `json:"failed,omitempty"`
	// Took is how long the attempt took.
	Took *units.DurationRange `json:"took,omitempty"`
}

// Variant is one way to bring the failure about.
type Variant struct {
	// ID is the variant's name: default if it is the only one.
	ID string `json:"id"`
	// Mechanism is native if the kernel or program does it all by itself once given the chance, forced if relapse
	// makes the kernel's own failure path unavoidable, emulated if relapse imitates it.
	Mechanism string `json:"mechanism" jsonschema:"enum=native,enum=forced,enum=emulated"`
	// Why explains the mechanism, in a sentence or two.
	Why string `json:"why"`
	// Needs lists what this variant needs beyond the scenario's needs.
	Needs []string `json:"needs,omitempty" ref:"offer"`
	// HostChanges is true if the variant alters a setting of the whole machine; it then runs only with --allow-host-changes.
	HostChanges bool `json:"hostChanges,omitempty"`
	// Workload lists Kubernetes objects of this variant, beside the scenario's.
	Workload []Raw `json:"workload,omitempty"`
	// RepairedBy is what a cluster offers if the failure no longer happens on it: the fault must then be in effect and the symptom absent.
	RepairedBy string `json:"repairedBy,omitempty" ref:"offer"`
	// Fault brings the failure about.
	Fault Fault `json:"fault"`
	// Symptom is how it shows.
	Symptom Symptom `json:"symptom"`
	// Without says why there is no detector that must fire in this variant, no remedy, or no control. Reports show it.
	Without Without `json:"without,omitzero"`
}

// Without gives the reasons for what a variant lacks. It needs all three; one with repairedBy needs no remedy.
type Without struct {
	// Detector is why no detector must fire.
	Detector string `json:"detector,omitempty"`
	// Remedy is why there is no remedy.
	Remedy string `json:"remedy,omitempty"`
	// Control is why there is no control.
	Control string `json:"control,omitempty"`
}

// Fault is what is done to a healthy cluster, and the proof that it was done.
type Fault struct {
	// Changes are made in this order and undone last first.
	Changes []Step `json:"changes"`
	// Effective lists readings that are waited for before anything is sampled under the fault.
	Effective []ReadingExpectation `json:"effective,omitempty"`
	// Proof lists readings that must be seen in each phase that shows the symptom.
	Proof []ReadingExpectation `json:"proof"`
	// StillApplied lists readings that show, while a remedy is on, that the fault is still being applied.
	StillApplied []ReadingExpectation `json:"stillApplied"`
}

// Step is one change at one or more places. Beside these fields it has exactly one more, whose name is the change's name
// in the catalogue and which holds its settings.
type Step struct {
	// ID names the change where its own readings are looked at. Default: the change's name.
	ID string `json:"id,omitempty"`
	// On is where: nodes, node/NAME, node-of/POD, pod/NAME, outside, host or cluster.
	On string `json:"on" ref:"place"`
	// After is how long after the first attempt of each phase the step is made, while attempts go on. From phase to phase it is undone and
	// made again. Use it for what happens while somebody looks, such as a rollout. Default: before anything is sampled.
	After units.Duration `json:"after,omitempty"`

	// Use is the change and its settings.
	Use Use `json:"-"`
}

// ReadingExpectation is a bound on one number that an agent reads. Exactly one of value, rise and risePerAttempt is given.
type ReadingExpectation struct {
	// Reader is who reads: a reader of the catalogue, or change/ID for what a change says of itself. Every change says applied: 1 while it
	// is applied, 0 otherwise. That is enough for stillApplied; a proof must show the effect.
	Reader string `json:"reader" ref:"reader"`
	// On is where it is read, as in steps; a value must be in the bound at every place, rises at several places are added up. Not
	// given for change/ID.
	On string `json:"on,omitempty" ref:"place"`
	// Key is the name of the number, such as insert_failed.
	Key string `json:"key"`
	// Value bounds the number at the end of the phase.
	Value *units.NumberRange `json:"value,omitempty"`
	// Rise bounds by how much the number rose in the phase.
	Rise *units.NumberRange `json:"rise,omitempty"`
	// RisePerAttempt bounds the rise divided by the attempts of the symptom's probe in the phase.
	RisePerAttempt *units.NumberRange `json:"risePerAttempt,omitempty"`
}

// Change returns the step's id if the reader is change/ID: what a change says of itself.
func (e ReadingExpectation) Change() (id string, ok bool) {
	id, ok = strings.CutPrefix(e.Reader, "change/")
	return id, ok && ValidName(id)
}

// Detector is one documented way to see the failure. Beside these fields it has exactly one more, whose name is the
// detector's name in the catalogue and which holds its settings.
type Detector struct {
	// ID names the detector in reports.
	ID string `json:"id"`
	// Title says in a few words what one looks at.
	Title string `json:"title"`
	// Source is the id of the document that recommends it.
	Source string `json:"source,omitempty" ref:"source"`
	// Command is what a person would type to see the same.
	Command string `json:"command,omitempty"`
	// Needs lists what the cluster must offer for the detector to be asked at all; if that is missing, the detector is not judged.
	Needs []string `json:"needs,omitempty" ref:"offer"`
	// Variants limits the detector to these variants. Default: all.
	Variants []string `json:"variants,omitempty" ref:"variant"`
	// Expect is fires if the detector must fire while the failure is present. It is silent if documents say that it fires, but it
	// does not; the detector must then stay silent in every phase. Default: fires.
	Expect string `json:"expect,omitempty" jsonschema:"enum=fires,enum=silent"`

	// Use is the detector and its settings.
	Use Use `json:"-"`
}

// ExpectSilent marks a detector that is documented to see the failure and does not.
const ExpectSilent = "silent"

// Remedy is a documented cure.
type Remedy struct {
	// ID names the remedy in phases: remedy/ID and relapse/ID.
	ID string `json:"id"`
	// Title is what it is, in a few words.
	Title string `json:"title"`
	// Source is the id of the document that recommends it.
	Source string `json:"source,omitempty" ref:"source"`
	// Caveat is what it does not do.
	Caveat string `json:"caveat,omitempty"`
	// Variants limits the remedy to these variants. Default: all.
	Variants []string `json:"variants,omitempty" ref:"variant"`
	// Changes are the cure.
	Changes []Step `json:"changes"`
	// Effective lists readings that are waited for before the cure is judged.
	Effective []ReadingExpectation `json:"effective,omitempty"`
	// Healthy says what the probes must show, if that differs from the scenario's healthy.
	Healthy []ProbeExpectation `json:"healthy,omitempty"`
	// StillFires lists detectors that must still fire under the remedy. It is for a remedy that hides the failure from users and
	// does not prevent it, such as a retry.
	StillFires []string `json:"stillFires,omitempty" ref:"detector"`
	// Leaves is the share of attempts that may still show the failure. It is for a remedy that makes the failure rare and does not
	// prevent it, such as random source ports. Default: 0%.
	Leaves units.Percent `json:"leaves,omitempty"`
	// Relapse lists readings that are waited for after the cure was withdrawn, beside those of the fault.
	Relapse []ReadingExpectation `json:"relapse,omitempty"`
}

// Control checks the check.
type Control struct {
	// ID names the control in phases: control/ID.
	ID string `json:"id"`
	// Title is what is tried, in a few words.
	Title string `json:"title"`
	// Source is the id of the document that it comes from.
	Source string `json:"source,omitempty" ref:"source"`
	// Variants limits the control to these variants. Default: all.
	Variants []string `json:"variants,omitempty" ref:"variant"`
	// With lists changes made beside the fault: a plausible but wrong cure.
	With []Step `json:"with,omitempty"`
	// Instead lists changes made in place of the fault: a near miss.
	Instead []Step `json:"instead,omitempty"`
	// Effective lists readings that are waited for before the control is judged, in place of the fault's if Instead is given.
	Effective []ReadingExpectation `json:"effective,omitempty"`
	// Proof lists readings that must be seen in this phase, in place of the fault's if Instead is given.
	Proof []ReadingExpectation `json:"proof,omitempty"`
	// Expect is symptom if the failure must still show, healthy if it must not.
	Expect string `json:"expect" jsonschema:"enum=symptom,enum=healthy"`
}

// Claim is one sentence of a document, held against this kernel.
type Claim struct {
	// ID names the claim.
	ID string `json:"id"`
	// Says is the statement in our own words.
	Says string `json:"says"`
	// Source is the id of the document.
	Source string `json:"source" ref:"source"`
	// Expected is what is expected here, by what the cluster offers; the first case that applies counts.
	Expected []ClaimCase `json:"expected"`
	// Check is how it is tested. All parts must be as stated for the claim to hold.
	Check ClaimCheck `json:"check"`
	// Note is what to know instead, if the claim is expected to be refuted.
	Note string `json:"note,omitempty"`
}

// ClaimCase is an expectation for clusters that offer something.
type ClaimCase struct {
	// Offers is what the cluster must offer for this case; none means always.
	Offers string `json:"offers,omitempty" ref:"offer"`
	// Result is expected: holds or refuted.
	Result string `json:"result" jsonschema:"enum=holds,enum=refuted"`
}

// ClaimCheck looks at one phase of one variant; every part that is given must be so for the claim to hold.
type ClaimCheck struct {
	// Variant to look at.
	Variant string `json:"variant" ref:"variant"`
	// Phase to look at: baseline, fault, remedy/ID, relapse/ID, control/ID or restored.
	Phase string `json:"phase"`
	// Symptom is whether the symptom is seen.
	Symptom *bool `json:"symptom,omitempty"`
	// Detector is the id of a detector that must have fired.
	Detector string `json:"detector,omitempty" ref:"detector"`
	// Readings are bounds that must hold.
	Readings []ReadingExpectation `json:"readings,omitempty"`
	// Probes are bounds that must hold.
	Probes []ProbeExpectation `json:"probes,omitempty"`
}

// Difference is one result that differs between clusters, and why.
type Difference struct {
	Subject
	// On says the result on each kind of cluster. No two entries may cover the same run.
	On []Side `json:"on" jsonschema:"minItems=2"`
	// Why explains it to people, in a sentence or two.
	Why string `json:"why"`
}

// Subject is something that has a result in a run: a claim, or in a phase of a variant a detector, or else the symptom.
type Subject struct {
	// Variant to look at, together with phase.
	Variant string `json:"variant,omitempty" ref:"variant"`
	// Phase to look at: baseline, fault, remedy/ID, relapse/ID, control/ID or restored.
	Phase string `json:"phase,omitempty"`
	// Detector is the id of the detector that differs in this phase. Without one it is the symptom that differs.
	Detector string `json:"detector,omitempty" ref:"detector"`
	// Claim is the id of the claim that differs, in place of variant and phase.
	Claim string `json:"claim,omitempty" ref:"claim"`
}

// Side is a result on some clusters.
type Side struct {
	// Cluster is lab or kind. Default: either.
	Cluster string `json:"cluster,omitempty" jsonschema:"enum=lab,enum=kind"`
	// Proxy is kube-proxy's mode. Default: any.
	Proxy string `json:"proxy,omitempty" jsonschema:"enum=nftables,enum=iptables,enum=ipvs,enum=none"`
	// Says is the result: shown, partly or absent for a symptom, fired or quiet for a detector, holds or refuted for a claim.
	Says string `json:"says" jsonschema:"enum=shown,enum=partly,enum=absent,enum=fired,enum=quiet,enum=holds,enum=refuted"`
}

// Command is a documented, read-only command whose output is evidence.
type Command struct {
	// On is where it runs, as in steps.
	On string `json:"on" ref:"place"`
	// Run is the program and its arguments: one of the commands that relapse knows to be read-only.
	Run []string `json:"run"`
}

// ObjectHead is what every Kubernetes object has; the rest of it is checked by the cluster that it is made on.
type ObjectHead struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}
