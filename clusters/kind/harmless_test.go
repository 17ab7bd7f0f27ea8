package kind

import (
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
)

func TestWhatCouldHurtTheMachine(t *testing.T) {
	pod := func(spec string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{` + spec + `"containers":[{"name":"main","image":"relapse"}]}}`
	}
	template := func(apiVersion, kind, spec string) string {
		return `{"apiVersion":"` + apiVersion + `","kind":"` + kind + `","metadata":{"name":"x"},"spec":{"template":{"spec":{` + spec + `"containers":[{"name":"main","image":"relapse"}]}}}}`
	}
	container := func(fields string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"main","image":"relapse",` + fields + `}]}}`
	}
	const standard = "not allowed: "
	for object, wrong := range map[string]types.GomegaMatcher{
		pod(``): BeEmpty(),
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{}}`:                             BeEmpty(), // the API server says what is missing
		container(`"ports":[{"containerPort":80,"hostPort":80}]`):                                        BeEmpty(), // a port of the node, which is a container
		container(`"securityContext":{"capabilities":{"add":["NET_BIND_SERVICE"]}}`):                     BeEmpty(),
		template("apps/v1", "StatefulSet", ``):                                                           BeEmpty(),
		`{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"x"},"spec":{}}`:   BeEmpty(),
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"coredns","namespace":"kube-system"}}`: BeEmpty(),

		pod(`"hostNetwork":true,`):                                                                      has(standard),
		pod(`"hostPID":true,`):                                                                          has(standard),
		pod(`"volumes":[{"name":"v","hostPath":{"path":"/"}}],`):                                        has(standard),
		container(`"securityContext":{"privileged":true}`):                                              has(standard),
		container(`"securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}`):                           has(standard),
		container(`"securityContext":{"seccompProfile":{"type":"Unconfined"}}`):                         has(standard),
		pod(`"initContainers":[{"name":"i","image":"relapse","securityContext":{"privileged":true}}],`): has(standard),
		pod(`"hostNetwork":"yes",`):                                                                     has("cannot unmarshal"),
		template("apps/v1", "DaemonSet", `"hostNetwork":true,`):                                         has("spec.template.spec: " + standard),
		template("batch/v1", "Job", `"hostIPC":true,`):                                                  has(standard),
		`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"x"},"spec":{"jobTemplate":{"spec":{"template":{"spec":{"hostPID":true,"containers":[]}}}}}}`:                                             has(standard),
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","annotations":{"container.apparmor.security.beta.kubernetes.io/main":"unconfined"}},"spec":{"containers":[{"name":"main","image":"relapse"}]}}`: has(standard),

		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"x"}}`:                                                                     has("may not make objects of kind ClusterRoleBinding"),
		`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"x"}}`:                                                                                                 has("of kind PersistentVolume"),
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"x"}}`:                                                                                                             has("of kind Node"),
		`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"x"}}`:                                                                                has("of kind APIService"),
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"x"}}`:                                                        has("of kind MutatingWebhookConfiguration"),
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","namespace":"kube-system"},"spec":{"serviceAccountName":"clusterrole-aggregation-controller","containers":[]}}`: has("in kube-system, which belongs to the cluster"),
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x","namespace":"relapse-system"}}`:                                                                              has("in relapse-system, which belongs to the cluster"),
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"replicas":101}}`:                                                                          has("spec.replicas: 101: must be at most 100"),
		`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"x"},"spec":{"parallelism":1e9}}`:                                                                             has("spec.parallelism: 1e+09: must be at most 100"),
	} {
		NewWithT(t).Expect(checkHarmless([]byte(object))).To(wrong, object)
	}
	g := NewWithT(t)
	privileged := [][]byte{[]byte(container(`"securityContext":{"privileged":true}`))}
	g.Expect((&Kind{}).Check(privileged)).To(has("--allow-any-object allows it"))
	g.Expect((&Kind{Options: Options{AnyObject: true}}).Check(privileged)).To(BeEmpty())
}

func has(text string) types.GomegaMatcher { return ContainElement(MatchError(ContainSubstring(text))) }

func TestImagesThatNobodyCouldHave(t *testing.T) {
	g := NewWithT(t)
	of := func(image string) []error {
		return checkImages([]byte(`{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"},"spec":{"template":{"spec":{"containers":[{"name":"db","image":"` + image + `"}]}}}}`))
	}
	for _, image := range []string{"relapse", "nginx", "postgres:17", "registry.example.com:5000/team/app@sha256:0123456789012345678901234567890123456789012345678901234567890123"} {
		g.Expect(of(image)).To(BeEmpty(), image)
	}
	g.Expect(of("Not An Image")).To(has("StatefulSet db: spec.template.spec.containers[0].image: "))
	g.Expect(checkImages([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"main","image":"relapse","args":["dance"]}]}}`))).To(
		has(`Pod x: spec.containers[0].args: "dance": must be server ADDRESS`))
}
