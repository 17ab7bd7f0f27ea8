package lab

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestMissing(t *testing.T) {
	g := NewWithT(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	g.Expect(Missing("nftables")).To(MatchError("kube-proxy in nftables mode needs the program nft, which is not installed: apt-get install nftables"))
	g.Expect(Missing("iptables")).To(MatchError(HaveSuffix("apt-get install iptables")))
	g.Expect(os.WriteFile(filepath.Join(bin, "nft"), nil, 0o700)).To(Succeed())
	g.Expect(Missing("nftables")).To(Succeed())
	g.Expect(Missing("iptables")).NotTo(Succeed())
}
