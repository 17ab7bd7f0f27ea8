// Package judge turns a scenario and a history into a verdict. It is pure: it reads nothing else and changes nothing.
//
// # What a history must hold, beside what package detect says of readings and samples
//
//   - A lane is a lab of its own, named VARIANT/BRANCH. There is one for each remedy and control of a variant, whose id is the
//     branch; a variant without any, or one whose RepairedBy is offered, has the single lane VARIANT/main.
//   - A lane goes through baseline, fault, then remedy/ID and relapse/ID, or control/ID, then restored, each between a
//     phase-begin and a phase-end. The lanes of a phase are judged one by one, and the worst outcome wins.
//   - Change events name the step's id and the concrete place. What is on when a phase ends is what was on in it: making and
//     undoing lie between the end of the phase before and the end of the phase that they are for. In restored all is undone.
//     Steps on the host are noted under the lane that they are made for.
//   - Wait events carry in For what detect.WaitFor says of the bound. A wait belongs to the phase that it precedes: the fault's
//     are there in fault, relapse/ID and (for a control beside the fault) control/ID; a remedy's in remedy/ID; what a remedy
//     has for its relapse in relapse/ID.
//   - Fingerprint events compare with the time before the fault. Those of a lane carry it, with the phase restored or none;
//     those of the host carry no lane. At least one of each is there, with or without differences.
//   - An error event ends a lane, or the run if it has no lane.
//
// What is missing makes a phase inconclusive: nothing passes because it was not looked at.
package judge

// Outcome of a phase, a variant or a run.
type Outcome string

// The outcomes. The worst wins: fail, then inconclusive, then pass; skipped counts only where nothing else is there.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	Inconclusive Outcome = "inconclusive"
	Skipped      Outcome = "skipped"
)

// Results of a claim.
const (
	Holds    = "holds"
	Refuted  = "refuted"
	Untested = "untested"
)

// Verdict is the judgement of a run: verdict.json. Durations are numbers of seconds.
type Verdict struct {
	Scenario string    `json:"scenario"`
	Cluster  string    `json:"cluster"`
	Proxy    string    `json:"proxy"`
	Outcome  Outcome   `json:"outcome"`
	Reason   string    `json:"reason"`
	Variants []Variant `json:"variants"`
	Claims   []Claim   `json:"claims"`
	Restored Restored  `json:"restored"`
}

// Variant is the judgement of one way to bring the failure about.
type Variant struct {
	Name         string       `json:"name"`
	Outcome      Outcome      `json:"outcome"`
	Reason       string       `json:"reason"`
	Reproduction Reproduction `json:"reproduction"`
	Phases       []Phase      `json:"phases"`
}

// Reproduction says how many attempts under the fault showed the symptom, with the 95 % Wilson interval of the rate.
type Reproduction struct {
	Hits   int     `json:"hits"`
	Trials int     `json:"trials"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Phase is the judgement of one phase over all the lanes that went through it: samples are pooled, readings added up.
type Phase struct {
	// Name is baseline, fault, remedy/ID, relapse/ID, control/ID or restored.
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Symptom is how much of the failure was seen; nil where its probe made no attempt.
	Symptom *Sighting `json:"symptom,omitempty"`
	// Checks is every single thing that was judged, in words.
	Checks    []Check             `json:"checks"`
	Probes    map[string]Samples  `json:"probes"`
	Detectors map[string]Detected `json:"detectors"`
}

// How much of the failure a phase shows.
const (
	// Shown is where as many attempts show the symptom as the scenario states, Absent where none does.
	Shown  = "shown"
	Absent = "absent"
	Partly = "partly"
)

// Sighting says how many attempts of a phase showed the symptom, and whether that is the failure: shown, partly or absent.
type Sighting struct {
	Says   string `json:"says"`
	Hits   int    `json:"hits"`
	Trials int    `json:"trials"`
}

// Check is one thing that was judged.
type Check struct {
	// What was expected, in words: "lookup: slowest at most 5.3s".
	What string `json:"what"`
	// Seen is what was there.
	Seen string `json:"seen"`
	OK   bool   `json:"ok"`
	// Lane is where, when not in all lanes alike.
	Lane string `json:"lane,omitempty"`
}

// Samples sums up the attempts of a probe in a phase.
type Samples struct {
	Count  int     `json:"count"`
	Failed int     `json:"failed"`
	Min    float64 `json:"min_s"`
	P50    float64 `json:"p50_s"`
	P99    float64 `json:"p99_s"`
	Max    float64 `json:"max_s"`
}

// Detected is what a detector says of a phase.
type Detected struct {
	Fired bool `json:"fired"`
	// Reading is the number that the detector decided by, in the detector's unit.
	Reading float64 `json:"reading"`
	// Text is the reading as a person would say it.
	Text string `json:"text,omitempty"`
	// Blind is whether it has not fired because it saw nothing to decide by; then it was not quiet either.
	Blind bool `json:"blind,omitempty"`
	// Expected is whether it should have fired in this phase; nil where that is not judged.
	Expected *bool `json:"expected,omitempty"`
}

// Claim is what became of a claim.
type Claim struct {
	ID     string `json:"id"`
	Says   string `json:"says"`
	Source string `json:"source"`
	// Expected and Result are holds, refuted or untested.
	Expected string `json:"expected"`
	Result   string `json:"result"`
	// Seen is the evidence in words.
	Seen string `json:"seen,omitempty"`
}

// Restored says whether everything is as it was before.
type Restored struct {
	Clean       bool     `json:"clean"`
	Differences []string `json:"differences"`
}
