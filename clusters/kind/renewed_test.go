package kind

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
)

func TestChangedPods(t *testing.T) {
	g := NewWithT(t)
	before := map[types.UID]string{"1": "client", "2": "web-a"}
	g.Expect(changed("pods", before, map[types.UID]string{"1": "client", "2": "web-a"})).To(BeEmpty())
	g.Expect(changed("pods", before, map[types.UID]string{"1": "client", "3": "web-b"})).To(Equal("pods have changed: deleted web-a; created web-b"))
	g.Expect(changed("pods", before, map[types.UID]string{"2": "web-a", "4": "client"})).To(Equal("pods have changed: deleted client; created client"), "one of the same name")
}
