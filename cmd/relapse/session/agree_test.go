package session

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// TestARunKeepsWhetherItAgrees: what came of it is in the folder and in its reports, also when those are made again.
func TestARunKeepsWhetherItAgrees(t *testing.T) {
	g := NewWithT(t)
	out := t.TempDir()
	g.Expect(os.CopyFS(out, os.DirFS("../cli/testdata/agree"))).To(Succeed())
	dir := filepath.Join(out, "iptables")
	a, err := KeepAgreement(dir, filepath.Join(out, "nftables"), catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Outcome).To(Equal(judge.Pass))
	var kept agree.Agreement
	g.Expect(rundir.ReadJSON(dir, rundir.AgreementFile, &kept)).To(Succeed())
	g.Expect(kept).To(Equal(a))
	g.Expect(kept.Runs[1].Folder).To(Equal("../nftables"), "as seen from the folder")
	data, err := Data(dir, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(data.Agreement).To(Equal(&a))
	for name, text := range map[string]string{rundir.ReportFile: `href="../nftables/report.html"`, rundir.JUnitFile: `name="agrees with lab nftables"`} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(page)).To(ContainSubstring(text), name)
	}

	// It is renewed with the verdict, also where the folder is reached by a link.
	link := filepath.Join(t.TempDir(), "latest")
	g.Expect(os.Symlink(dir, link)).To(Succeed())
	old := kept
	old.Outcome = judge.Fail
	g.Expect(rundir.WriteJSON(dir, rundir.AgreementFile, old)).To(Succeed())
	g.Expect(RenewAgreement(link, catalogue.All())).To(Succeed())
	kept = agree.Agreement{}
	g.Expect(rundir.ReadJSON(dir, rundir.AgreementFile, &kept)).To(Succeed())
	g.Expect(kept).To(Equal(a))
	g.Expect(RenewAgreement(filepath.Join(out, "nftables"), catalogue.All())).To(Succeed())
	g.Expect(filepath.Join(out, "nftables", rundir.AgreementFile)).NotTo(BeAnExistingFile(), "it was compared with no other")
	g.Expect(os.Rename(filepath.Join(out, "nftables"), filepath.Join(out, "away"))).To(Succeed())
	g.Expect(RenewAgreement(dir, catalogue.All())).To(MatchError(And(
		HavePrefix("agreement.json is older than the verdict: "), ContainSubstring("nftables is not a run folder"))))
	g.Expect(filepath.Join(dir, rundir.AgreementFile)).To(BeAnExistingFile())

	g.Expect(os.WriteFile(filepath.Join(dir, rundir.AgreementFile), []byte("{"), 0o644)).To(Succeed())
	data, err = Data(dir, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(data.Agreement).To(BeNil())
	g.Expect(data.Problems).To(ContainElement(ContainSubstring("The comparison with another run could not be read")))
}

// TestBothRunsAreJudgedAgain: whether a folder has a verdict, and of which judge, does not matter.
func TestBothRunsAreJudgedAgain(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.CopyFS(dir, os.DirFS("../cli/testdata/run"))).To(Succeed())
	verdict := filepath.Join(dir, rundir.VerdictFile)
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(verdict, []byte(`{"outcome": "fail"}`), 0o644) },
		func() error { return os.Remove(verdict) },
	} {
		g.Expect(spoil()).To(Succeed())
		a, err := Agree(dir, "../cli/testdata/run", catalogue.All())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(a.Outcome).To(Equal(judge.Pass))
		g.Expect(a.Counts).To(Equal(map[agree.Result]int{agree.Same: 14, agree.Skipped: 6}))
	}

	g.Expect(os.Truncate(filepath.Join(dir, rundir.HistoryFile), 0)).To(Succeed())
	a, err := Agree("../cli/testdata/run", dir, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Outcome).To(Equal(judge.Inconclusive))

	_, err = Agree("../cli/testdata/run", t.TempDir(), catalogue.All())
	g.Expect(err).To(MatchError(ContainSubstring("is not a run folder")))
}
