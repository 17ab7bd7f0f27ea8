package kind

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestChangedPods(t *testing.T) {
	g := NewWithT(t)
	before := map[types.UID]string{"1": "client", "2": "web-a"}
	g.Expect(changed("pods", before, map[types.UID]string{"1": "client", "2": "web-a"})).To(BeEmpty())
	g.Expect(changed("pods", before, map[types.UID]string{"1": "client", "3": "web-b"})).To(Equal("pods have changed: deleted web-a; created web-b"))
	g.Expect(changed("pods", before, map[types.UID]string{"2": "web-a", "4": "client"})).To(Equal("pods have changed: deleted client; created client"), "one of the same name")
}

func TestControllersOfPods(t *testing.T) {
	g := NewWithT(t)
	pod := func(controller types.UID) corev1.Pod {
		yes := true
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: "none"}, {UID: controller, Controller: &yes}}}}
	}
	before := controllers(map[types.UID]corev1.Pod{"1": pod("dns"), "2": pod("dns"), "3": {}})
	g.Expect(before).To(Equal([]types.UID{"3", "dns", "dns"}))
	g.Expect(controllers(map[types.UID]corev1.Pod{"4": pod("dns"), "5": pod("dns"), "3": {}})).To(Equal(before), "others of the same controller")
	g.Expect(controllers(map[types.UID]corev1.Pod{"4": pod("dns"), "3": {}})).NotTo(Equal(before), "one is missing")
	g.Expect(controllers(map[types.UID]corev1.Pod{"1": pod("dns"), "2": pod("dns"), "6": {}})).NotTo(Equal(before), "a pod that nobody controls is another")
}
