package podtemplate_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/podtemplate"
)

func TestThePodsOfAnObject(t *testing.T) {
	g := NewWithT(t)
	const pods = `{"containers":[{"name":"main","image":"relapse"}]}`
	for object, has := range map[string]bool{
		`{"apiVersion":"v1","kind":"Pod","spec":` + pods + `}`:                                                          true,
		`{"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"template":{"spec":` + pods + `}}}`:                       true,
		`{"apiVersion":"batch/v1","kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":` + pods + `}}}}}`: true,
		`{"apiVersion":"example.com/v1","kind":"Deployment","spec":{"template":{"spec":` + pods + `}}}`:                 false,
		`{"apiVersion":"v1","kind":"Service","spec":{}}`:                                                                false,
	} {
		spec, err := podtemplate.Spec([]byte(object))
		g.Expect(spec != nil, err).To(Equal(has), object)
		if has {
			g.Expect(spec.Containers[0].Image).To(Equal("relapse"))
		}
	}
	for _, object := range []string{`7`, `{"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"template":7}}`, `{"apiVersion":"v1","kind":"Pod","spec":{"hostNetwork":"yes"}}`} {
		_, err := podtemplate.Spec([]byte(object))
		g.Expect(err).To(HaveOccurred(), object)
	}
	path, ok := podtemplate.Path("batch/v1", "CronJob")
	g.Expect(ok).To(BeTrue())
	g.Expect(path).To(Equal([]string{"spec", "jobTemplate", "spec", "template"}))
}
