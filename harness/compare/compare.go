// Package compare says what changed between two sets of results, and how sure that is. It is pure: it reads nothing but what it is given.
//
// What a run answers with a word, such as an outcome or what a detector says, needs no test if one side never gave that answer: it is told
// how often each side gave it. Rates and times are tested, and corrected for how many of them there are: see Method.
package compare

import (
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// Comparison is what changed from one set of results to another.
type Comparison struct {
	Base Side `json:"base"`
	Head Side `json:"head"`
	// Change is what counts most of all pairs: see Worst.
	Change Change `json:"change"`
	// Says is the comparison in a sentence.
	Says string `json:"says"`
	// Counts is how many pairs have each change.
	Counts map[Change]int `json:"counts"`
	// Pairs are the scenarios, variants and environments of both sides: what changed most comes first, then by name.
	Pairs []Pair `json:"pairs"`
	// Versions is what differs between the sides, by environment.
	Versions []EnvVersions `json:"versions"`
	Method   Method        `json:"method"`
	// Problems are what of the results could not be read.
	Problems []string `json:"problems,omitempty"`
}

// Side is one of the two sets.
type Side struct {
	// Name is what was asked for, such as a folder.
	Name    string `json:"name"`
	Runs    int    `json:"runs"`
	Results int    `json:"results"`
	// Oldest and Newest are the starts of runs.
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// Envs are the keys of its environments.
	Envs []string `json:"envs"`
}

// Change is what became of something from Base to Head.
type Change string

// The changes, in the order in which they are told.
const (
	// Worse is what is not as the scenario expects and was before, or slower.
	Worse Change = "worse"
	// Gone has no result any more.
	Gone Change = "gone"
	// Skipped and Inconclusive had an answer before and have none now.
	Skipped      Change = "skipped"
	Inconclusive Change = "inconclusive"
	// New had no result before.
	New Change = "new"
	// Changed is neither better nor worse.
	Changed Change = "changed"
	Better  Change = "better"
	// NotEnough means that there are too few runs to tell.
	NotEnough Change = "not enough data"
	Same      Change = "no change"
)

var order = []Change{Worse, Gone, Skipped, Inconclusive, New, Changed, Better, NotEnough, Same}

// Bad reports whether something got worse: it fails, is slower, or is not tested any more.
func (c Change) Bad() bool { return c == Worse || c == Gone || c == Skipped }

// Pair is one variant of a scenario in one environment, on both sides.
type Pair struct {
	Scenario string `json:"scenario"`
	Title    string `json:"title,omitempty"`
	Variant  string `json:"variant"`
	// Env is the key of the environment. BaseEnv is that of Base, if each side has one environment and they differ.
	Env     string `json:"env"`
	BaseEnv string `json:"base_env,omitempty"`
	Change  Change `json:"change"`
	// Runs is how many runs each side has, and Outcomes how they ended.
	Runs     [2]int                   `json:"runs"`
	Outcomes [2]map[judge.Outcome]int `json:"outcomes"`
	// Findings are what is worth telling: how the runs ended, then what counts most.
	Findings []Finding `json:"findings"`
	// Tests are all rates and times that were looked at.
	Tests []Test `json:"tests"`
	// FirstBad is the first run of Head that was not as before, and LastGood the last one before it on either side that was. Between is
	// what differs between the versions of these two.
	FirstBad *Ref            `json:"first_bad,omitempty"`
	LastGood *Ref            `json:"last_good,omitempty"`
	Between  []VersionChange `json:"between,omitempty"`
	// Oldest and Newest are the first and the last run of each side.
	Oldest [2]*Ref `json:"oldest"`
	Newest [2]*Ref `json:"newest"`
}

// Ref is a run.
type Ref struct {
	Run     string        `json:"run"`
	Start   time.Time     `json:"start"`
	Outcome judge.Outcome `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	// Folder is the name of the run folder, and Command runs it again.
	Folder  string   `json:"folder,omitempty"`
	Command []string `json:"command,omitempty"`
	// versions are those of the run, digest is that of the scenario's file.
	versions map[string]string
	digest   string
}

// What of a run a finding is about.
type What string

// The kinds of findings.
const (
	Outcome  What = "outcome"
	Restored What = "restored"
	Claim    What = "claim"
	Phase    What = "phase"
	Detector What = "detector"
	// Reproduction is the rate of trials that show the failure, and Met the rate of attempts that the fault met.
	Reproduction What = "reproduction"
	Met          What = "met"
	// Latency is the median of how long the attempts of a probe took in a phase.
	Latency What = "latency"
	// Detection is the time until a detector fired, Recovery that until the failure was gone.
	Detection What = "detection"
	Recovery  What = "recovery"
)

// Subject is what a finding or a test is about.
type Subject struct {
	What     What   `json:"what"`
	Phase    string `json:"phase,omitempty"`
	Detector string `json:"detector,omitempty"`
	Claim    string `json:"claim,omitempty"`
	Probe    string `json:"probe,omitempty"`
}

// Finding is one thing worth telling.
type Finding struct {
	Subject
	Change Change `json:"change"`
	// Says is the change in words, with numbers: failed 1 of 1, before 0 of 12.
	Says string `json:"says"`
	// Why is what the first such run of Head says about it.
	Why string `json:"why,omitempty"`
	// FirstBad and LastGood are the runs between which it came, if it came between runs.
	FirstBad *Ref `json:"first_bad,omitempty"`
	LastGood *Ref `json:"last_good,omitempty"`
	// Test is the test that it comes from, if it is a rate or a time, or an answer that both sides gave.
	Test *Test `json:"test,omitempty"`
}

// Sentence says what changed, and about what.
func (f *Finding) Sentence() string { return f.Subject.String() + ": " + f.Says }

// Test is a rate or a time on both sides.
type Test struct {
	Subject
	// Of is what is counted, if it is a rate: fail, trials that show the failure.
	Of     string `json:"of,omitempty"`
	Base   Sample `json:"base"`
	Head   Sample `json:"head"`
	Change Change `json:"change"`
	// Effect is by how much Head differs: the difference of two rates, or what part of Base's median a time is longer.
	Effect float64 `json:"effect"`
	// Greater is the share of all pairs of a run of Base and one of Head in which Head's is the greater; a tie counts half. It is 0.5 if
	// there is no difference. Rates do not have it.
	Greater float64 `json:"greater,omitempty"`
	// P is how often chance alone makes such a difference, and Q the same after the correction for all tests of the comparison.
	P float64 `json:"p"`
	Q float64 `json:"q"`
	// Need is how many runs each side must have to find a difference, if it has too few.
	Need [2]int `json:"need,omitzero"`
	// grade is what is counted, if the runs' answers are.
	grade grade
	// best is the smallest p-value that so much data can have.
	best float64
}

// Sample is one side of a test.
type Sample struct {
	Runs int `json:"runs"`
	// Hits of Trials is a rate, with its interval in Low and High.
	Hits   int `json:"hits,omitempty"`
	Trials int `json:"trials,omitempty"`
	// Median of a time in seconds, one of each run. Low and High are its 95 % interval; both are 0 if there are too few runs for one.
	Median float64 `json:"median_s,omitempty"`
	Low    float64 `json:"low,omitempty"`
	High   float64 `json:"high,omitempty"`
}

// Rate is whether the sample is a rate.
func (s Sample) Rate() bool { return s.Trials > 0 }

// EnvVersions are the versions that differ in an environment.
type EnvVersions struct {
	Env     string          `json:"env"`
	BaseEnv string          `json:"base_env,omitempty"`
	Differ  []VersionChange `json:"differ"`
}

// VersionChange is a version that is not the same on both sides. A side may have several, or none.
type VersionChange struct {
	Name string   `json:"name"`
	Base []string `json:"base"`
	Head []string `json:"head"`
}

// Method says how differences were told from chance.
type Method struct {
	// Alpha is the share of false alarms that is accepted, after the correction.
	Alpha float64 `json:"alpha"`
	// Correction names the correction, and Why says why that one.
	Correction string `json:"correction"`
	Why        string `json:"why"`
	// Tests is how many were made, and Family how many of them had enough data to show a difference: that is corrected for.
	Tests  int `json:"tests"`
	Family int `json:"family"`
	// Sizes are the smallest differences that are told.
	Sizes Sizes `json:"sizes"`
}
