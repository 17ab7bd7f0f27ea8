package session

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// TestARunThatEndsBadlyDoesNotPass: what goes wrong around the lanes is part of the history, for whoever judges again.
func TestARunThatEndsBadlyDoesNotPass(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.CopyFS(dir, os.DirFS("../cli/testdata/run"))).To(Succeed())
	_, before, err := Judge(dir, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(before.Outcome).To(Equal(judge.Pass))
	g.Expect(history.AppendError(filepath.Join(dir, rundir.HistoryFile), errors.New("the guard did not put the host in order"))).To(Succeed())
	_, after, err := Judge(dir, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(after.Outcome).NotTo(Equal(judge.Pass))
	g.Expect(after.Reason).To(ContainSubstring("the guard did not put the host in order"))
}

func TestLatestIsReplaced(t *testing.T) {
	g := NewWithT(t)
	out := t.TempDir()
	for _, run := range []string{"one", "two"} {
		g.Expect(Latest(out, "dns-5s", filepath.Join(out, run))).To(Succeed())
		target, err := os.Readlink(filepath.Join(out, "latest", "dns-5s"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(target).To(Equal(filepath.Join("..", run)))
	}
	left, err := os.ReadDir(filepath.Join(out, "latest"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(1))
}

func TestLatestFollowsNoLinkOutOfTheFolder(t *testing.T) {
	g := NewWithT(t)
	out, outside := t.TempDir(), t.TempDir()
	g.Expect(os.Symlink(outside, filepath.Join(out, "latest"))).To(Succeed())
	g.Expect(Latest(out, "dns-5s", filepath.Join(out, "one"))).NotTo(Succeed())
	g.Expect(os.ReadDir(outside)).To(BeEmpty())
}
