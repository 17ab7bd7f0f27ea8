package lab

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestThePluginKubernetesIsToldWhereTheAPIIs(t *testing.T) {
	g := NewWithT(t)
	const told = "endpoint http://" + apiAddress
	g.Expect(withAPI("    kubernetes cluster.local {\n        ttl 30\n    }\n")).To(Equal("    kubernetes cluster.local {\n" + told + "\n        ttl 30\n    }\n"))
	g.Expect(withAPI("    kubernetes cluster.local\n    loop\n")).To(Equal("    kubernetes cluster.local {\n" + told + "\n}\n    loop\n"))
	g.Expect(withAPI("    forward . 203.0.113.53\n")).To(Equal("    forward . 203.0.113.53\n"))
}
