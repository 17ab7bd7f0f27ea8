package results_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

// A store that format 1 wrote stays readable: 70 runs of five scenarios.
func TestFormat1(t *testing.T) {
	g := NewWithT(t)
	s, err := results.Open("testdata/format-1")
	g.Expect(err).NotTo(HaveOccurred())
	outcomes := map[judge.Outcome]int{}
	var newest results.Result
	problems, err := s.Each(t.Context(), results.Selection{}, func(r *results.Result) {
		outcomes[r.Outcome]++
		if r.Scenario == "tcp-out-of-order" && r.Variant == "small-window" {
			newest = *r
		}
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())
	g.Expect(outcomes).To(Equal(map[judge.Outcome]int{judge.Pass: 98, judge.Skipped: 14}))
	g.Expect(newest.Env.Key()).To(Equal("lab/nftables/linux-6.18"))
	g.Expect(newest.Versions).To(HaveKeyWithValue("kernel", "6.18.44"))
	g.Expect(newest.Reproduction).To(Equal(results.Reproduction{Hits: 36, Trials: 36, Attempts: 36}))
	g.Expect(*newest.Phase("fault").Detectors["slow"].After).To(BeNumerically(">", 3))
	g.Expect(*newest.Phase("remedy/larger-buffer").Recovery).To(BeNumerically(">", 0))
	g.Expect(newest.Phase("fault").Recovery).To(BeNil())
	g.Expect(newest.Claims[0]).To(Equal(results.Claim{
		ID: "out-of-order-is-invalid", Says: "Answers that arrive out of order are INVALID for conntrack.", Expected: judge.Refuted, Result: judge.Refuted,
	}))
	g.Expect(newest.Restored).To(HaveValue(BeTrue()))
}

// A store of a newer format is refused as a whole only if its folder is laid out in another way.
func TestNewerStore(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.WriteFile(filepath.Join(dir, results.MarkFile), []byte(`{"format":2}`), 0o600)).To(Succeed())
	_, err := results.Open(dir)
	g.Expect(err).To(MatchError(ContainSubstring("format 2 of stores is not known to this relapse, which knows 1")))
}

// FuzzLines: whatever a file holds, nothing panics, what is read can be written and is the same when read again, and every line is either a
// result or told of.
func FuzzLines(f *testing.F) {
	line, err := results.Line(result(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(line) + "\n" + string(line[:50]))
	f.Add(`{"format":2,"run":"a"}` + "\n")
	f.Add(strings.Replace(string(line), `"hits":5`, `"hits":5e300`, 1))
	f.Fuzz(func(t *testing.T, text string) {
		g := NewWithT(t)
		read := 0
		problems := results.ReadLines("f", []byte(text), func(r results.Result, _ []byte) {
			read++
			again, err := results.Line(r)
			g.Expect(err).NotTo(HaveOccurred())
			other, _, err := results.Parse(again)
			g.Expect(err).NotTo(HaveOccurred())
			twice, err := results.Line(other)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(twice)).To(Equal(string(again)))
		})
		if lines := strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1; text != "" && read < lines {
			g.Expect(problems).NotTo(BeEmpty())
		}
	})
}

// FuzzFile: whatever a file of a store holds, a result beside it is read.
func FuzzFile(f *testing.F) {
	f.Add([]byte("garbage"))
	f.Add([]byte("(\xb5/\xfd\x04\x00\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g := NewWithT(t)
		s := create(t, result(1))
		name := filepath.Join(s.Dir(), "2026-11", "2026-11-30-0123456789abcdef0123456789abcdef.jsonl.zst")
		g.Expect(os.WriteFile(name, data, 0o600)).To(Succeed())
		ids, problems := read(t, s, "")
		g.Expect(ids).To(ContainElement("run-1"))
		g.Expect(problems).NotTo(BeEmpty())
		_, _, err := create(t).Merge(t.Context(), s)
		g.Expect(err).NotTo(HaveOccurred())
	})
}
