package website

import (
	"path/filepath"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"
)

func TestNamesOfPagesAreFilesInTheirFolder(t *testing.T) {
	safe := regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	seen := map[string]string{}
	for _, text := range []string{
		"dns-5s", "lab/nftables/linux-6.18", "lab-nftables-linux-6.18", "", ".", "..", "../../etc/passwd", "/etc/passwd", `..\..\x`, "a\x00b", "DNS-5s", "dns-5s.",
		"index", "a b", "a  b", "%2e%2e", "<script>", "é", "-", "a--b", "a..b", string(make([]byte, 5000)),
	} {
		g := NewWithT(t)
		name := fileName(text)
		g.Expect(name).To(MatchRegexp(safe.String()), "%q", text)
		g.Expect(len(name)).To(BeNumerically("<", 100))
		g.Expect(seen).NotTo(HaveKey(name), "%q", text)
		seen[name] = text
		for _, path := range []string{scenarioFile(text), auditFile(text, text), comparisonFile(text)} {
			g.Expect(filepath.IsLocal(path)).To(BeTrue(), path)
			g.Expect(filepath.Clean(path)).To(Equal(path))
		}
	}
	NewWithT(t).Expect(fileName("dns-5s")).To(Equal("dns-5s"))
}
