package session

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// TestRunsAreFound: a run folder, a suite's, the folder that both are in, and links to them, all stand for run folders.
func TestRunsAreFound(t *testing.T) {
	g := NewWithT(t)
	out, err := filepath.EvalSymlinks(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	write := func(path, text string) string {
		dir := filepath.Join(out, filepath.Dir(path))
		g.Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
		g.Expect(os.WriteFile(filepath.Join(out, path), []byte(text), 0o644)).To(Succeed())
		return dir
	}
	old, dns := write("1-dns/run.json", `{"scenario": "dns"}`), write("2-dns/run.json", `{"scenario": "dns"}`)
	mtu := write("3-mtu/run.json", `{"scenario": "mtu"}`)
	suite := write("suite/1/suite.json", `{"scenarios": [{"scenario": "dns", "run": "../../1-dns"}, {"scenario": "mtu", "run": "../../3-mtu"}, {"scenario": "not-begun"}]}`)
	for id, dir := range map[string]string{"dns": dns, "mtu": mtu, "suite": suite, "gone": filepath.Join(out, "9-gone")} {
		g.Expect(Latest(out, id, dir)).To(Succeed())
	}
	for path, want := range map[string]map[string]string{
		"1-dns":        {"dns": old},
		"latest/dns":   {"dns": dns},
		"suite/1":      {"dns": old, "mtu": mtu, "not-begun": ""},
		"latest/suite": {"dns": old, "mtu": mtu, "not-begun": ""},
		".":            {"dns": dns, "mtu": mtu},
		"latest":       {"dns": dns, "mtu": mtu},
	} {
		runs, err := Runs(filepath.Join(out, path))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(runs).To(Equal(want), path)
	}
	// Without links the last one by name counts.
	g.Expect(os.RemoveAll(filepath.Join(out, "latest"))).To(Succeed())
	runs, err := Runs(out)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(runs).To(Equal(map[string]string{"dns": dns, "mtu": mtu}))

	_, err = Runs(filepath.Join(out, "nowhere"))
	g.Expect(err).To(MatchError(os.ErrNotExist))
	_, err = Runs(t.TempDir())
	g.Expect(err).To(MatchError(ContainSubstring("is not a run folder")))
	_, err = Runs(write("suite/2/suite.json", `{"scenarios": [{"scenario": "dns", "run": "../../../elsewhere"}]}`))
	g.Expect(err).To(MatchError(ContainSubstring(`suite/2/suite.json: "../../../elsewhere" is not a run beside the suite`)))
	write("1-dns/run.json", "{")
	_, err = Runs(filepath.Join(out, "1-dns"))
	g.Expect(err).To(MatchError(ContainSubstring("1-dns/run.json")))
}
