package readers_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/readers"
)

func TestKernelLines(t *testing.T) {
	for line, want := range map[string]readers.KernelLine{
		"nf_conntrack: nf_conntrack: table full in netns 4026532501, dropping packet":            {Event: readers.ConntrackTableFull, Netns: 4026532501},
		"nf_conntrack: nf_conntrack: table full, dropping packet":                                {Event: readers.ConntrackTableFull},
		"relapse-drop: IN=cni0 OUT=eth0 SRC=10.244.1.3 DST=10.244.2.3 LEN=60 PROTO=TCP DPT=8080": {Event: readers.LoggedDrop},
	} {
		got, ok := readers.ParseKernelLine(line)
		want.Line = line
		NewWithT(t).Expect(ok).To(BeTrue(), line)
		NewWithT(t).Expect(got).To(Equal(want))
	}
	_, ok := readers.ParseKernelLine("calico-packet: IN=cali1 OUT=eth0")
	NewWithT(t).Expect(ok).To(BeFalse())
}
