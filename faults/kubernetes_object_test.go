package faults_test

import (
	"context"
	"errors"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/site"
)

func TestAnObjectIsWhole(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"Service","metadata":{}}`: "missing: object.apiVersion, object.metadata.name",
		`{}`:                               "missing: object.apiVersion, object.kind, object.metadata.name",
		`"Service"`:                        "object: not a Kubernetes object",
	} {
		NewWithT(t).Expect((&faults.KubernetesObject{Object: []byte(text)}).Validate()).To(MatchError(ContainSubstring(want)))
	}
	whole := &faults.KubernetesObject{Object: []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"}}`)}
	NewWithT(t).Expect(whole.Validate()).To(Succeed())
}

// shelf is a cluster that only keeps objects of one kind and namespace.
type shelf struct {
	clusters.Cluster
	objects map[string]string
	refuse  error
	// hidden is why nobody can say which objects there are.
	hidden error
}

func (s *shelf) Object(_ context.Context, _, _, name string) ([]byte, error) {
	if text, ok := s.objects[name]; ok {
		return []byte(text), nil
	}
	return nil, s.hidden
}

func (s *shelf) Apply(_ context.Context, object []byte) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.objects["web"] = string(object)
	return nil
}

func (s *shelf) Delete(_ context.Context, _, _, name string) error {
	delete(s.objects, name)
	return nil
}

func TestAnObjectThatWasReplacedIsPutBack(t *testing.T) {
	g := NewWithT(t)
	const first = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"}}`
	const second = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{}}`
	cluster := &shelf{objects: map[string]string{}}
	place := &site.Site{Cluster: cluster}
	undoFirst, err := (&faults.KubernetesObject{Object: []byte(first)}).ApplyTo(t.Context(), place, "first")
	g.Expect(err).NotTo(HaveOccurred())
	undoSecond, err := (&faults.KubernetesObject{Object: []byte(second)}).ApplyTo(t.Context(), place, "second")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cluster.objects).To(HaveKeyWithValue("web", second))
	g.Expect(undoSecond(t.Context())).To(Succeed())
	g.Expect(cluster.objects).To(HaveKeyWithValue("web", first))
	g.Expect(undoFirst(t.Context())).To(Succeed())
	g.Expect(cluster.objects).To(BeEmpty())

	cluster.refuse = errors.New("no")
	undo, err := (&faults.KubernetesObject{Object: []byte(first)}).ApplyTo(t.Context(), place, "refused")
	g.Expect(err).To(MatchError("no"))
	g.Expect(undo(t.Context())).To(Succeed(), "what was begun can be undone")

	cluster = &shelf{objects: map[string]string{}, hidden: errors.New("no answer")}
	undo, err = (&faults.KubernetesObject{Object: []byte(first)}).ApplyTo(t.Context(), &site.Site{Cluster: cluster}, "blind")
	g.Expect(err).To(MatchError("no answer"))
	g.Expect(undo).To(BeNil())
	g.Expect(cluster.objects).To(BeEmpty(), "what could not be put back is not replaced")
}
