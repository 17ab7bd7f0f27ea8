// Package judge turns a scenario and a history into a verdict. It is pure: it reads nothing else and changes nothing.
//
// # What a history must hold, beside what package detect says of readings and samples
//
//   - A lane is a cluster of its own, or its turn on one, named VARIANT/BRANCH. There is one for each remedy and control of a variant, whose id is the
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
// What is missing makes a phase inconclusive: nothing passes because nobody looked.
package judge

// Outcome of a phase, a variant or a run.
type Outcome string

// The outcomes. The worst wins: fail, then inconclusive, then pass; skipped counts only if there is no other.
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
	// Kinds sums up the phases of each kind, such as all remedies, in the order of time.
	Kinds  []Kind  `json:"kinds,omitempty"`
	Phases []Phase `json:"phases"`
}

// Kind is all phases of one kind together: what a reader sees first.
type Kind struct {
	// Kind is baseline, fault, remedy, relapse, control or restored.
	Kind    string  `json:"kind"`
	Outcome Outcome `json:"outcome"`
	// Lanes is how many lanes made attempts in such a phase, and Unwell how many of them are not good.
	Lanes  int `json:"lanes"`
	Unwell int `json:"unwell"`
	// Symptom is what their attempts show; nil if there were none.
	Symptom *Sighting `json:"symptom,omitempty"`
}

// Reproduction says how many trials showed the symptom, with the 95 % Wilson interval of the rate. A trial is an attempt that the fault
// met.
type Reproduction struct {
	Hits   int `json:"hits"`
	Trials int `json:"trials"`
	// Attempts is how many attempts were made. Verdicts of older versions do not have it.
	Attempts int     `json:"attempts,omitempty"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Phase is the judgement of one phase over all the lanes that went through it: samples are pooled, readings added up.
type Phase struct {
	// Name is baseline, fault, remedy/ID, relapse/ID, control/ID or restored.
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Symptom is how much of the failure was seen; nil if its probe made no attempt.
	Symptom *Sighting `json:"symptom,omitempty"`
	// Lanes are the lanes one by one. Verdicts of older versions do not have them.
	Lanes []LaneResult `json:"lanes,omitempty"`
	// Checks is every single thing that was judged, in words.
	Checks    []Check             `json:"checks"`
	Probes    map[string]Samples  `json:"probes"`
	Detectors map[string]Detected `json:"detectors"`
}

// LaneResult is the judgement of one lane in a phase. What concerns all lanes together is only in the phase's outcome.
type LaneResult struct {
	Lane    string    `json:"lane"`
	Outcome Outcome   `json:"outcome"`
	Symptom *Sighting `json:"symptom,omitempty"`
}

// How much of the failure the attempts show.
const (
	// Shown is as many as the scenario states, Absent is none, Partly is any other number.
	Shown  = "shown"
	Absent = "absent"
	Partly = "partly"
)

// How well the symptom's probe is: Good, Bad, or Partly.
const (
	// Good is healthy, without an attempt that shows the symptom.
	Good = "good"
	// Bad is if the failure is shown, or if it is absent and the probe is not healthy all the same.
	Bad = "bad"
)

// Sighting is what the attempts of the symptom's probe show in a phase. It says nothing about what was expected.
type Sighting struct {
	// Says is shown, partly or absent.
	Says string `json:"says"`
	// State is good, partly or bad; of several lanes it is partly if they are not alike.
	State string `json:"state"`
	// Hits is how many of the Trials show the symptom, and Failed how many failed. Missed is how many attempts were made beside them that
	// the fault did not meet.
	Hits   int `json:"hits"`
	Trials int `json:"trials"`
	Failed int `json:"failed"`
	Missed int `json:"missed,omitempty"`
	// P50 is the median of how long they took.
	P50 float64 `json:"p50_s"`
}

// Check is one thing that was judged.
type Check struct {
	// What was expected, in words: "lookup: slowest at most 5.3s".
	What string `json:"what"`
	// Seen is what was there.
	Seen string `json:"seen"`
	OK   bool   `json:"ok"`
	// Lane is the lane, if the lanes differ.
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
	// Blind is true if it saw nothing to decide by: then it neither fired nor was quiet.
	Blind bool `json:"blind,omitempty"`
	// Wavers is true if it would have fired at some readings of the phase and not at others. The last one decides.
	Wavers bool `json:"wavers,omitempty"`
	// Expected is whether it should have fired in this phase; nil if that is not judged.
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
	// Excused is whether it is untested because of what the cluster at hand cannot show.
	Excused bool `json:"excused,omitempty"`
}

// Restored says whether everything is as it was before.
type Restored struct {
	Clean       bool     `json:"clean"`
	Differences []string `json:"differences"`
}
