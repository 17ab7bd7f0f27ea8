package reports

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/regular"
)

func readFolder(t *testing.T, dir string, events []history.Event) ([]EvidenceFile, []error) {
	t.Helper()
	folder, err := regular.Open(dir)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer folder.Close()
	return readEvidence(folder, events)
}

func TestEvidenceStaysInItsFolder(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	evidence := filepath.Join(dir, "evidence")
	g.Expect(os.Mkdir(evidence, 0o755)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600)).To(Succeed())
	g.Expect(os.Symlink("../secret", filepath.Join(evidence, "link"))).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(evidence, "a.txt"), []byte("fine\n"), 0o600)).To(Succeed())
	var events []history.Event
	for _, name := range []string{"../secret", "link", "/etc/hostname", "a.txt"} {
		events = append(events, history.Event{Kind: history.KindEvidence, Evidence: &history.Evidence{Title: name, File: name}})
	}
	files, errs := readFolder(t, evidence, events)
	g.Expect(errs).To(HaveLen(3))
	g.Expect(errs[1]).To(MatchError(ContainSubstring("link: a symbolic link, not a regular file")))
	g.Expect(files).To(HaveLen(1))
	g.Expect(files[0].Text).To(Equal("fine\n"))
}

func TestLargeEvidence(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	write := func(name string, data []byte) {
		g.Expect(os.WriteFile(filepath.Join(dir, name), data, 0o600)).To(Succeed())
	}
	write("big.pcap", make([]byte, rawLimit+1))
	write("long.txt", []byte(strings.Repeat("a line of ä\n", 400_000)))
	write("small.pcap", make([]byte, rawLimit))
	var events []history.Event
	for _, name := range []string{"big.pcap", "long.txt", "small.pcap"} {
		events = append(events, history.Event{Evidence: &history.Evidence{File: name}})
	}
	g.Expect(os.MkdirAll(filepath.Join(dir, "logs", "a"), 0o755)).To(Succeed())
	write("logs/a/coredns.log", []byte("line\n"))
	files, errs := readFolder(t, dir, events)
	g.Expect(errs).To(BeEmpty())
	g.Expect(files).To(HaveLen(4))
	g.Expect(files[3].Name).To(Equal("logs/a/coredns.log"))
	g.Expect(files[3].Text).To(BeEmpty(), "listed, not shown")
	big, long, small := files[0], files[1], files[2]
	g.Expect(big.Raw).To(BeEmpty())
	g.Expect(big.Size).To(BeEquivalentTo(rawLimit + 1))
	g.Expect(string(big.download().Href)).To(Equal("evidence/big.pcap"))
	g.Expect(len(long.Text)).To(BeNumerically("<=", textLimit+64))
	g.Expect(long.Text).To(HaveSuffix("the rest is in the run folder\n"))
	g.Expect(string(small.download().Href)).To(HavePrefix("data:application/octet-stream;base64,"))
	g.Expect(string(relative("a b?.txt"))).To(Equal("evidence/a%20b%3F.txt"))
}
