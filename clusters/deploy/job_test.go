package deploy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/json"
)

var usual = Options{
	Image: "relapse.dev/relapse:sha-0123456789ab", Shards: 8, Args: []string{"--all"}, Namespace: "relapse", AccessMode: "ReadWriteMany", Storage: "5Gi", Deadline: time.Hour,
}

// objects are the rendered ones by kind, each decoded without any field that its type does not have.
func objects(t *testing.T, o Options) map[string]any {
	t.Helper()
	g := NewWithT(t)
	text, err := Manifests(o)
	g.Expect(err).NotTo(HaveOccurred())
	found := map[string]any{}
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		g.Expect(err).NotTo(HaveOccurred())
		data, err := yaml.ToJSON(document)
		g.Expect(err).NotTo(HaveOccurred())
		var head metav1.TypeMeta
		g.Expect(json.UnmarshalCaseSensitivePreserveInts(data, &head)).To(Succeed())
		object := map[string]any{
			"Namespace": &corev1.Namespace{}, "ServiceAccount": &corev1.ServiceAccount{}, "PersistentVolumeClaim": &corev1.PersistentVolumeClaim{}, "Pod": &corev1.Pod{},
			"NetworkPolicy": &networkingv1.NetworkPolicy{}, "Job": &batchv1.Job{},
		}[head.Kind]
		g.Expect(object).NotTo(BeNil(), head.Kind)
		unknown, err := json.UnmarshalStrict(data, object)
		g.Expect(err).NotTo(HaveOccurred(), head.Kind)
		g.Expect(unknown).To(BeEmpty(), head.Kind)
		found[head.Kind] = object
	}
}

func TestTheManifestsAreWhatKubernetesKnows(t *testing.T) {
	g := NewWithT(t)
	all := objects(t, usual)
	g.Expect(all).To(HaveLen(6))
	job := all["Job"].(*batchv1.Job)
	g.Expect(*job.Spec.CompletionMode).To(Equal(batchv1.IndexedCompletion))
	g.Expect([]int32{*job.Spec.Completions, *job.Spec.Parallelism}).To(Equal([]int32{8, 8}))
	container := job.Spec.Template.Spec.Containers[0]
	g.Expect(container.Image).To(Equal(usual.Image))
	g.Expect(container.Args[0]).To(ContainSubstring(`--shard "$((JOB_COMPLETION_INDEX + 1))/$SHARDS"`))
	g.Expect(container.Args[1:]).To(Equal([]string{"sh", "--all"}))
	g.Expect(container.Env).To(Equal([]corev1.EnvVar{{Name: "SHARDS", Value: "8"}}))
	for kind, object := range all {
		namespace := object.(metav1.Object).GetNamespace()
		g.Expect(namespace == "relapse" || kind == "Namespace").To(BeTrue(), kind)
	}
	g.Expect(all["PersistentVolumeClaim"].(*corev1.PersistentVolumeClaim).Spec.StorageClassName).To(BeNil(), "the cluster's default")
}

// TestThePodsHaveNoMoreRightsThanAreExplained pins them, and what the Pod Security Standards say of them.
func TestThePodsHaveNoMoreRightsThanAreExplained(t *testing.T) {
	g := NewWithT(t)
	all := objects(t, usual)
	template := all["Job"].(*batchv1.Job).Spec.Template
	reader := all["Pod"].(*corev1.Pod)
	security := template.Spec.Containers[0].SecurityContext
	g.Expect(security.Capabilities.Drop).To(Equal([]corev1.Capability{"ALL"}))
	g.Expect(security.Capabilities.Add).To(Equal([]corev1.Capability{"SYS_ADMIN", "SYS_CHROOT", "NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "CHOWN"}))
	g.Expect(*security.ReadOnlyRootFilesystem).To(BeTrue())
	g.Expect(security.Privileged).To(BeNil())
	for _, spec := range []corev1.PodSpec{template.Spec, reader.Spec} {
		g.Expect(*spec.AutomountServiceAccountToken).To(BeFalse())
		g.Expect([]bool{spec.HostNetwork, spec.HostPID, spec.HostIPC}).To(Equal([]bool{false, false, false}))
		for _, v := range spec.Volumes {
			g.Expect(v.HostPath).To(BeNil(), v.Name)
		}
	}
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	refused := func(meta *metav1.ObjectMeta, spec *corev1.PodSpec) (reasons []string) {
		for _, r := range checks.EvaluatePod(api.LevelVersion{Level: api.LevelBaseline, Version: api.LatestVersion()}, meta, spec) {
			if !r.Allowed {
				reasons = append(reasons, r.ForbiddenReason)
			}
		}
		return reasons
	}
	g.Expect(refused(&template.ObjectMeta, &template.Spec)).To(ConsistOf("forbidden AppArmor profile", "non-default capabilities", "seccompProfile"))
	g.Expect(refused(&reader.ObjectMeta, &reader.Spec)).To(BeEmpty())
}

func TestWhatIsGivenIsNeverReadAsYAML(t *testing.T) {
	g := NewWithT(t)
	o := usual
	o.StorageClass = "fast\"\nkind: Evil"
	o.Args = []string{"--label", "dns\n- hostPID: true", `"{{.Image}}"`, "$(reboot)"}
	all := objects(t, o)
	g.Expect(*all["PersistentVolumeClaim"].(*corev1.PersistentVolumeClaim).Spec.StorageClassName).To(Equal(o.StorageClass))
	g.Expect(all["Job"].(*batchv1.Job).Spec.Template.Spec.Containers[0].Args[2:]).To(Equal(o.Args))
	for want, spoil := range map[string]func(*Options){
		"invalid image":            func(o *Options) { o.Image = "a b" },
		"invalid number of shards": func(o *Options) { o.Shards = 0 },
		"invalid namespace":        func(o *Options) { o.Namespace = "a: b" },
		"invalid access mode":      func(o *Options) { o.AccessMode = "ReadOnlyMany" },
		"invalid storage":          func(o *Options) { o.Storage = "much" },
		"invalid deadline":         func(o *Options) { o.Deadline = 0 },
	} {
		o := usual
		spoil(&o)
		_, err := Manifests(o)
		g.Expect(err).To(MatchError(HavePrefix(want)))
	}
}
