package kind

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/logs"
)

func TestDropsAreToldInTheScenariosNames(t *testing.T) {
	g := NewWithT(t)
	lane := &part{number: 2, namespace: "lane-2"}
	g.Expect(lane.told(logs.Drop{Namespace: "lane-2", Pod: "web", Peer: "lane-2/client", Policies: []string{"lane-2/deny"}})).
		To(Equal(logs.Drop{Namespace: "default", Pod: "web", Peer: "default/client", Policies: []string{"default/deny"}}))
	g.Expect(lane.told(logs.Drop{Namespace: "lane-2", Pod: "web", Peer: "kube-system/coredns-1"}).Peer).To(Equal("kube-system/coredns-1"))
	g.Expect(lane.told(logs.Drop{Namespace: "lane-2", Pod: "web", Peer: "lane-20/client"}).Peer).To(Equal("lane-20/client"), "of another lane")
}
