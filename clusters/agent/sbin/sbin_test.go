package sbin

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestAddToPath(t *testing.T) {
	g := NewWithT(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	g.Expect(exec.LookPath("ldconfig")).Error().To(MatchError(exec.ErrNotFound))
	for range 2 {
		g.Expect(AddToPath()).To(Succeed())
		g.Expect(os.Getenv("PATH")).To(Equal(bin + ":/usr/local/sbin:/usr/sbin:/sbin"))
	}
	g.Expect(exec.LookPath("ldconfig")).To(HaveSuffix("/sbin/ldconfig"))
	g.Expect(os.WriteFile(filepath.Join(bin, "ldconfig"), nil, 0o700)).To(Succeed())
	g.Expect(exec.LookPath("ldconfig")).To(Equal(filepath.Join(bin, "ldconfig")), "the PATH comes first")

	t.Setenv("PATH", "")
	g.Expect(AddToPath()).To(Succeed())
	g.Expect(os.Getenv("PATH")).To(Equal("/usr/local/sbin:/usr/sbin:/sbin"), "the working folder is not on it")
}
