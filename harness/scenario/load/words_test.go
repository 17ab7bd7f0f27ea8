package load

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestSentences(t *testing.T) {
	g := NewWithT(t)
	g.Expect(sentences("One. Two! (Three.) Four?")).To(Equal(4))
	g.Expect(sentences("It takes 2.5 s, e.g. for a lookup of kube-dns.kube-system.svc.\n")).To(Equal(1))
}
