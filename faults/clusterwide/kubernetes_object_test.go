package clusterwide_test

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/clustertest"
	"github.com/relapse-k8s/relapse/faults/clusterwide"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/site"
)

func TestAnObjectIsWhole(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"Service","metadata":{}}`: "missing: object.apiVersion, object.metadata.name",
		`{}`:                               "missing: object.apiVersion, object.kind, object.metadata.name",
		`"Service"`:                        "object: not a Kubernetes object",
	} {
		NewWithT(t).Expect((&clusterwide.KubernetesObject{Object: []byte(text)}).Validate()).To(MatchError(ContainSubstring(want)))
	}
	whole := &clusterwide.KubernetesObject{Object: []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"}}`)}
	NewWithT(t).Expect(whole.Validate()).To(Succeed())
}

func TestAnObjectThatWasReplacedIsRestored(t *testing.T) {
	g := NewWithT(t)
	const first = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"}}`
	const second = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"selector":{"app":"web"},"ports":[{"port":80}]}}`
	cluster := &clustertest.Cluster{}
	place := site.New(cluster, nil, "r1")
	apply := func(id, object string) error {
		return place.Apply(t.Context(), scenario.Step{ID: id, On: "cluster", Use: scenario.Use{
			Name: "kubernetes-object", Config: &clusterwide.KubernetesObject{Object: []byte(object)},
		}})
	}
	applied := func(id string) float64 {
		readings, err := place.ChangeReadings(t.Context(), id)
		g.Expect(err).NotTo(HaveOccurred())
		return readings["cluster"]["matches"]
	}
	g.Expect(apply("first", first)).To(Succeed())
	g.Expect(apply("second", second)).To(Succeed())
	g.Expect(applied("second")).To(Equal(1.0))
	g.Expect(apply("second", second)).To(MatchError("change second: already applied"))
	g.Expect(place.Undo(t.Context(), "second")).To(Succeed())
	g.Expect(cluster.Object(t.Context(), "Service", "", "web")).NotTo(ContainSubstring("selector"))
	g.Expect(place.Undo(t.Context(), "first")).To(Succeed())
	g.Expect(cluster.Objects()).To(BeEmpty())

	// What was begun can be undone, and is not applied.
	fail := func(call string) {
		cluster.Fail = func(made string) error {
			if made == call {
				return errors.New("refused")
			}
			return nil
		}
	}
	fail("apply Service default/web")
	g.Expect(apply("refused", first)).To(MatchError("change refused: refused"))
	g.Expect(applied("refused")).To(Equal(0.0))
	g.Expect(place.Undo(t.Context(), "refused")).To(Succeed())

	// What could not be restored is not replaced.
	fail("keep Service default/web")
	g.Expect(apply("blind", first)).To(MatchError("change blind: refused"))
	g.Expect(cluster.Objects()).To(BeEmpty())
	g.Expect(place.UndoAll(t.Context())).To(Succeed())

	// What could not be undone is tried again.
	cluster.Fail = nil
	g.Expect(apply("stuck", first)).To(Succeed())
	fail("delete Service default/web")
	g.Expect(place.Undo(t.Context(), "stuck")).To(MatchError("undo of change stuck: restore Service web: refused"))
	cluster.Fail = nil
	g.Expect(place.UndoAll(t.Context())).To(Succeed())
	g.Expect(cluster.Objects()).To(BeEmpty())
}
