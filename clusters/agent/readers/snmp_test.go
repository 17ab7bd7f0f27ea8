package readers

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestParseSNMP(t *testing.T) {
	g := NewWithT(t)
	values := map[string]float64{}
	g.Expect(parseSNMP("Tcp: RtoMin MaxConn OutRsts\nTcp: 200 -1 7\nUdp: NoPorts\nUdp: 3\n", values)).To(Succeed())
	g.Expect(values).To(Equal(map[string]float64{"TcpRtoMin": 200, "TcpMaxConn": -1, "TcpOutRsts": 7, "UdpNoPorts": 3}))
	g.Expect(parseSNMP("Tcp: A B\nTcp: 1\n", values)).To(MatchError("line 1 does not name the numbers of line 2"))
	g.Expect(parseSNMP("Tcp: A\nTcp: x\n", values)).To(MatchError(ContainSubstring("TcpA: ")))
}
