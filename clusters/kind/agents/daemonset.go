package agents

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names of the agents' objects, and paths in their image.
const (
	Namespace     = "relapse-system"
	name          = "relapse-agents"
	containerName = "agent"
	agentPath     = "/relapse-agent"
	stateDir      = "/run/relapse"
)

var labels = map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "relapse"}

// capabilities of an agent's container. All others are dropped; SYS_RESOURCE, which some machines cannot give, is not needed.
var capabilities = []corev1.Capability{
	"NET_ADMIN",        // nft tables, conntrack, NFQUEUE, links and routes, settings under net
	"NET_RAW",          // capturing packets, and sending the stray segments that no socket would send
	"NET_BIND_SERVICE", // NodeLocal DNSCache listens on port 53 of the node
	"SYS_ADMIN",        // entering the namespaces of pods, and mounts of their own: /proc, /sys and a pod's resolv.conf
	"SYS_CHROOT",       // entering a mount namespace needs it besides
	"SYS_PTRACE",       // looking at /proc/PID/ns and /proc/PID/root of others' processes
}

func namespaceObject() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Labels: map[string]string{
		"app.kubernetes.io/managed-by": "relapse",
		// The agents need privileges; a cluster that enforces a stricter level would not admit them.
		"pod-security.kubernetes.io/enforce": "privileged",
	}}}
}

// accountObject is an account without permissions: agents do not use the API server.
func accountObject() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name}, AutomountServiceAccountToken: new(false)}
}

// daemonSet requests only what agents need.
func daemonSet(image string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name, Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(image)},
		},
	}
}

func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{
		ServiceAccountName: name, AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
		// A node's agent acts in the node's network. Agents must also run before a CNI is installed, or while it fails.
		HostNetwork: true,
		// Agents find a pod's namespaces by its processes. And the writer of a journal must have the same process id for all later containers.
		HostPID:   true,
		DNSPolicy: corev1.DNSDefault,
		// On every node, including those that are not ready or full, and the control plane.
		Tolerations:       []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		PriorityClassName: "system-node-critical",
		Containers: []corev1.Container{{
			Name: containerName, Image: image, ImagePullPolicy: corev1.PullNever,
			Command:   []string{agentPath, "keep"},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")}},
			// Not privileged: no devices, and only these capabilities. /proc/sys of such a container is read-only, so each agent mounts its own
			// /proc in its own mount namespace; that needs SYS_ADMIN.
			SecurityContext: &corev1.SecurityContext{
				RunAsUser:    new(int64(0)), // the files in /proc/sys belong to root
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: capabilities},
				// On machines with AppArmor, the runtime's default profile forbids mounts, whatever the capabilities.
				AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
				// The runtime's default seccomp profile allows what the capabilities allow.
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "state", MountPath: stateDir}},
		}},
		Volumes: []corev1.Volume{{
			// Journals must outlive the container and the pod, but not a reboot: /run is in memory.
			Name:         "state",
			VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: stateDir, Type: new(corev1.HostPathDirectoryOrCreate)}},
		}},
	}
}
