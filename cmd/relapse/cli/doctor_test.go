package cli

import (
	"bytes"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/sbin"
	"github.com/relapse-k8s/relapse/clusters/lab"
)

// doctor says where a program is, or which package has it.
func TestDoctorNamesThePackage(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	d := &doctor{page: page{w: &out, width: 200}}
	d.section("Programs", "ldconfig")
	out.Reset()
	p := lab.Program{Name: "ldconfig", Version: "--version", Why: "for a test", Package: "libc-bin"}
	d.program(t.Context(), p)
	g.Expect(out.String()).To(Equal("  no  ldconfig  for a test; apt-get install libc-bin\n"))
	out.Reset()
	g.Expect(sbin.AddToPath()).To(Succeed())
	d.program(t.Context(), p)
	g.Expect(out.String()).To(And(HavePrefix("  ok  ldconfig "), ContainSubstring("/sbin/ldconfig")))
}
