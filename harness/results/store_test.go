package results_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// result is a small result of the nth run, an hour after the one before.
func result(n int) results.Result {
	return results.Result{
		Format: results.Format, Run: fmt.Sprintf("run-%d", n), Variant: "default", Scenario: "dns-5s", Start: noon.Add(time.Duration(n) * time.Hour),
		Env:      results.EnvironmentOf("lab", "nftables", map[string]string{"kernel": "6.18.44-fc"}, ""),
		Versions: map[string]string{"relapse": "abcdef012345+changes", "kernel": "6.18.44-fc"}, Outcome: judge.Pass,
		Reproduction: results.Reproduction{Hits: 5, Trials: 5, Attempts: 6},
	}
}

func create(t *testing.T, list ...results.Result) *results.Store {
	t.Helper()
	g := NewWithT(t)
	s, err := results.Create(filepath.Join(t.TempDir(), "store"))
	g.Expect(err).NotTo(HaveOccurred())
	add(t, s, list...)
	return s
}

func add(t *testing.T, s *results.Store, list ...results.Result) results.Added {
	t.Helper()
	g := NewWithT(t)
	added, problems, err := s.Add(t.Context(), list)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())
	return added
}

// runs are the ids of the runs of a selection.
func runs(t *testing.T, s *results.Store, selection string) []string {
	t.Helper()
	ids, problems := read(t, s, selection)
	NewWithT(t).Expect(problems).To(BeEmpty())
	return ids
}

func read(t *testing.T, s *results.Store, selection string) (ids []string, problems []results.Problem) {
	t.Helper()
	g := NewWithT(t)
	sel, err := results.ParseSelection(selection, noon)
	g.Expect(err).NotTo(HaveOccurred())
	problems, err = s.Each(t.Context(), sel, func(r *results.Result) { ids = append(ids, r.Run) })
	g.Expect(err).NotTo(HaveOccurred())
	return ids, problems
}

// files are the files of results in a store.
func files(t *testing.T, s *results.Store) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Dir(), "*", "*.jsonl.zst"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return found
}

func TestWhatIsAddedCanBeReadAgain(t *testing.T) {
	g := NewWithT(t)
	one := result(1)
	after, restored := 1.5, true
	one.Restored = &restored
	one.Phases = []results.Phase{{Name: "fault", Outcome: judge.Pass, Took: 3, Symptom: &results.Sighting{Says: judge.Shown, Hits: 5, Trials: 5},
		Probes:    map[string]results.Samples{"lookup": {Count: 6, P50: 5.001, P99: 5.1, Max: 5.1}},
		Detectors: map[string]results.Detected{"insert-failed": {Says: results.Fired, Expected: results.Fired, After: &after}}}}
	one.Claims = []results.Claim{{ID: "five", Expected: judge.Holds, Result: judge.Holds}}
	s := create(t, one)
	var got results.Result
	_, err := s.Each(t.Context(), results.Selection{}, func(r *results.Result) { got = *r })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal(one))
}

func TestAResultIsKeptOnce(t *testing.T) {
	g := NewWithT(t)
	s := create(t, result(1), result(2))
	g.Expect(add(t, s, result(2), result(1))).To(Equal(results.Added{Known: 2}))
	g.Expect(add(t, s, result(2), result(3))).To(Equal(results.Added{New: 1, Known: 1}))
	g.Expect(runs(t, s, "")).To(Equal([]string{"run-1", "run-2", "run-3"}))

	// A run that is judged again counts once, with its last verdict.
	again := result(2)
	again.Outcome = judge.Fail
	g.Expect(add(t, s, again)).To(Equal(results.Added{New: 1, Revised: 1}))
	g.Expect(add(t, s, again)).To(Equal(results.Added{Known: 1}))
	var outcomes []judge.Outcome
	_, err := s.Each(t.Context(), results.Selection{Run: "run-2"}, func(r *results.Result) { outcomes = append(outcomes, r.Outcome) })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcomes).To(Equal([]judge.Outcome{judge.Fail}))
}

func TestMergingIsAUnion(t *testing.T) {
	g := NewWithT(t)
	merge := func(into *results.Store, others ...*results.Store) {
		for _, other := range others {
			_, problems, err := into.Merge(t.Context(), other)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(problems).To(BeEmpty())
		}
	}
	a, b, c := create(t, result(1), result(2)), create(t, result(2), result(30)), create(t)
	again := result(2)
	again.Outcome = judge.Fail
	add(t, b, again)
	ab, ba := create(t), create(t)
	merge(ab, a, b, c, a)
	merge(ba, c, b, a, b, b)
	g.Expect(runs(t, ab, "")).To(Equal([]string{"run-1", "run-2", "run-30"}))
	g.Expect(runs(t, ba, "")).To(Equal(runs(t, ab, "")))
	base := func(s *results.Store) (names []string) {
		for _, file := range files(t, s) {
			names = append(names, filepath.Base(file))
		}
		return names
	}
	g.Expect(base(ba)).To(Equal(base(ab)))
	before := base(ab)
	merge(ab, ba)
	merge(ab, ab)
	g.Expect(base(ab)).To(Equal(before))
}

func TestDamageLosesNothingElse(t *testing.T) {
	g := NewWithT(t)
	s := create(t, result(1), result(2))
	first := files(t, s)[0]
	add(t, s, result(3))
	sound := create(t)
	_, _, err := sound.Merge(t.Context(), s)
	g.Expect(err).NotTo(HaveOccurred())

	// The end of a file is missing.
	data, err := os.ReadFile(first)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(first, data[:len(data)/2], 0o600)).To(Succeed())
	ids, problems := read(t, s, "")
	g.Expect(ids).To(Equal([]string{"run-3"}))
	g.Expect(problems).To(HaveLen(1))
	g.Expect(problems[0].String()).To(ContainSubstring("damaged after 0 bytes of lines: unexpected EOF"))

	// Merging with a sound store repairs it, and the other way round nothing is lost.
	merged, problems, err := sound.Merge(t.Context(), s)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(HaveLen(1))
	g.Expect(merged).To(Equal(results.Merged{Known: 2}))
	merged, problems, err = s.Merge(t.Context(), sound)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())
	g.Expect(merged).To(Equal(results.Merged{Known: 1, Repaired: 1}))
	g.Expect(runs(t, s, "")).To(Equal([]string{"run-1", "run-2", "run-3"}))
}

func TestLinesThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	line, err := results.Line(result(1))
	g.Expect(err).NotTo(HaveOccurred())
	swap := func(old, by string) string {
		g.Expect(string(line)).To(ContainSubstring(old))
		return string(bytes.Replace(line, []byte(old), []byte(by), 1))
	}
	for want, text := range map[string]string{
		"f:1: a newer relapse has written it (format 2, this relapse reads 1): it is kept, and left out": swap(`"format":1`, `"format":2,"phases":{"other":"type"}`),
		"f:1: unexpected end of JSON input":                         string(line[:40]),
		"f:1: reproduction: 9 hits in 5 trials of 6 attempts":       swap(`"hits":5`, `"hits":9`),
		"f:1: reproduction: -5 is no count":                         swap(`"hits":5`, `"hits":-5`),
		"cannot unmarshal number 1e999":                             swap(`"hits":5`, `"hits":1e999`),
		"f:1: took_s: 1e+300 is no time in seconds":                 swap(`"reproduction"`, `"took_s":1e300,"reproduction"`),
		`f:1: outcome: "great" is none`:                             swap(`"outcome":"pass"`, `"outcome":"great"`),
		"f:1: run is missing":                                       swap(`"run":"run-1"`, `"run":""`),
		"f:1: invalid character '<' looking for beginning of value": "<script>",
		"f:1: the line has more than 1048576 bytes":                 string(bytes.Repeat([]byte("x"), 1<<20)),
	} {
		var ids []string
		problems := results.ReadLines("f", []byte(text+"\n"+string(line)+"\n"), func(r results.Result, _ []byte) { ids = append(ids, r.Run) })
		g.Expect(problems).To(HaveLen(1), want)
		g.Expect(problems[0].String()).To(ContainSubstring(want))
		g.Expect(ids).To(Equal([]string{"run-1"}), "the line after it is read")
	}
	problems := results.ReadLines("f", line[:40], func(results.Result, []byte) {})
	g.Expect(problems).To(Equal([]results.Problem{{File: "f", Line: 1, What: "the last line is cut off"}}))
}

func TestSelections(t *testing.T) {
	g := NewWithT(t)
	other := result(5)
	other.Scenario, other.Env.Host = "mtu-blackhole", "ubuntu-24.04"
	kind := result(30)
	kind.Env = results.EnvironmentOf("kind", "nftables", map[string]string{"kernel": "6.18.44", "kubernetes": "v1.36.3", "cni": "cilium 1.20.2"}, "")
	s := create(t, result(1), result(2), other, kind)
	for selection, want := range map[string][]string{
		"":                 {"run-1", "run-2", "run-5", "run-30"},
		"last=1":           {"run-2", "run-5", "run-30"},
		"since=2026-12-01": {"run-30"},
		"until=2026-11-30": {"run-1", "run-2", "run-5"},
		"since=2026-11-30T14:00:00Z&until=2026-11-30T17:00:00Z": {"run-2", "run-5"},
		"commit=abcdef012345+changes":                           {"run-1", "run-2", "run-5", "run-30"},
		"commit=fff":                                            nil,
		"env=lab":                                               {"run-1", "run-2", "run-5"},
		"env=lab/nftables/linux-6.18":                           {"run-1", "run-2"},
		"env=lab/*/ubuntu-*":                                    {"run-5"},
		"env=kind/cilium/nftables/k8s-1.36/linux-6.18":          {"run-30"},
		"scenario=mtu-blackhole&env=lab":                        {"run-5"},
		"run=run-2":                                             {"run-2"},
	} {
		g.Expect(runs(t, s, selection)).To(Equal(want), selection)
	}
	for selection, want := range map[string]string{
		"sinc=7d":     "must be one of since, until,",
		"since=soon":  `"soon" is neither a date (2026-11-30) nor a time`,
		"last=0":      `"0" is not a number from 1 on`,
		"env=[":       "syntax error in pattern",
		"env=":        "it has no value",
		"run=a&run=b": "it is given twice",
		"since=-1h":   "neither a date",
	} {
		_, err := results.ParseSelection(selection, noon)
		g.Expect(err).To(MatchError(ContainSubstring(want)), selection)
	}
}

// Names of a hostile store lead nowhere, and do not keep what else is in it from being read.
func TestHostileStore(t *testing.T) {
	g := NewWithT(t)
	s := create(t, result(1))
	elsewhere := create(t, result(2))
	month := filepath.Dir(files(t, elsewhere)[0])
	g.Expect(os.Symlink(month, filepath.Join(s.Dir(), "2026-12"))).To(Succeed())
	g.Expect(os.Symlink(files(t, elsewhere)[0], filepath.Join(s.Dir(), "2026-11", filepath.Base(files(t, elsewhere)[0])))).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(s.Dir(), "2026-11", "2026-11-30-0123456789abcdef0123456789abcdef.jsonl.zst"), []byte("garbage"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(s.Dir(), "2026-11", "notes.txt"), []byte("mine"), 0o600)).To(Succeed())
	ids, problems := read(t, s, "")
	g.Expect(ids).To(Equal([]string{"run-1"}))
	g.Expect(problems).To(HaveLen(1))
	g.Expect(problems[0].String()).To(ContainSubstring("damaged after 0 bytes of lines"))

	_, err := results.Create(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	full := t.TempDir()
	g.Expect(os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600)).To(Succeed())
	_, err = results.Create(full)
	g.Expect(err).To(MatchError(ContainSubstring("is not a store of results, and not empty: it has thesis.txt")))
	_, err = results.Open(full)
	g.Expect(err).To(MatchError(ContainSubstring("is not a store of results: it has no relapse-results.json")))
	bad := result(1)
	bad.Run = ""
	_, _, err = s.Add(t.Context(), []results.Result{result(7), bad})
	g.Expect(err).To(MatchError(ContainSubstring("run is missing")))
	g.Expect(runs(t, elsewhere, "")).To(Equal([]string{"run-2"}))
	ids, _ = read(t, s, "")
	g.Expect(ids).To(Equal([]string{"run-1"}), "nothing was added")
}

// Of a file that was cut off, the lines before the cut are read and merged, also twice, and they are no second results beside those of a sound
// file.
func TestWhatIsLeftOfAFileIsSalvaged(t *testing.T) {
	g := NewWithT(t)
	var list []results.Result
	for n := range 2000 {
		r := result(0)
		r.Run = fmt.Sprintf("run-%04d", n)
		r.Reason = fmt.Sprint(rand.New(rand.NewPCG(1, uint64(n))).Perm(40)) // which does not compress well
		list = append(list, r)
	}
	cut, sound := create(t, list...), create(t, list...)
	file := files(t, cut)[0]
	data, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(file, data[:len(data)*2/3], 0o600)).To(Succeed())
	ids, problems := read(t, cut, "")
	g.Expect(len(ids)).To(And(BeNumerically(">", 1000), BeNumerically("<", 2000)))
	g.Expect(problems).To(HaveLen(2), "the file, and its last line")

	all := create(t)
	for range 2 {
		merged, _, err := all.Merge(t.Context(), cut)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(merged.Salvaged).To(Equal(1))
		g.Expect(files(t, all)).To(HaveLen(1))
	}
	g.Expect(runs(t, all, "")).To(Equal(ids))
	_, _, err = all.Merge(t.Context(), sound)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(runs(t, all, "")).To(HaveLen(2000))
}
