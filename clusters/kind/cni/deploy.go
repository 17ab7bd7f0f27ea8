package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// first are the kinds that other objects need, in the order in which they are created.
var first = []string{"Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service"}

// Deploy creates the objects of a CNI and returns when all its pods are ready. Notes are what was changed because of the nodes.
func Deploy(ctx context.Context, on Nodes, all []*unstructured.Unstructured) (notes []string, err error) {
	bounding, err := boundingSet(ctx, on)
	if err != nil {
		return nil, err
	}
	if dropped := dropCapabilities(all, bounding.has); len(dropped) > 0 {
		notes = append(notes, fmt.Sprintf("The CNI's containers run without %s, which this machine's container engine cannot give them.", strings.Join(dropped, ", ")))
	}
	if SharesNodes(len(on.Names)) {
		for _, object := range all {
			if object.GetKind() != "Deployment" {
				continue
			}
			if err := unstructured.SetNestedField(object.Object, "", "spec", "template", "spec", "nodeSelector", ControlPlane); err != nil {
				return nil, fmt.Errorf("Deployment %s: %w", object.GetName(), err)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	for _, object := range all {
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		made, err := on.Objects.Apply(ctx, text)
		if err != nil {
			return nil, err
		}
		if err := await.Until(ctx, limits.Pods, limits.Poll, func(ctx context.Context) (string, error) { return on.Objects.Established(ctx, made) }); err != nil {
			return nil, err
		}
	}
	return notes, await.Until(ctx, limits.CNIReady, limits.Poll, func(ctx context.Context) (string, error) { return missing(ctx, on, all) })
}

// ControlPlane is the label of control-plane nodes.
const ControlPlane = "node-role.kubernetes.io/control-plane"

// SharesNodes says whether a cluster of this many nodes can have lanes side by side. Nothing of the cluster's own, except DaemonSets, may then
// be on a worker, where a lane's fault would be one for all.
func SharesNodes(nodes int) bool { return nodes >= 3 }

func rank(object *unstructured.Unstructured) int {
	if i := slices.Index(first, object.GetKind()); i >= 0 {
		return i
	}
	return len(first)
}

// missing says which of the pods are not ready, or nothing.
func missing(ctx context.Context, on Nodes, all []*unstructured.Unstructured) (string, error) {
	for _, object := range all {
		if podSpec(object) == nil {
			continue
		}
		name := object.GetKind() + " " + object.GetName()
		there, err := on.Objects.There(ctx, object.GetKind(), object.GetNamespace(), object.GetName())
		if err != nil {
			return "", err
		}
		if there == nil {
			return "", await.Stop(errors.New(name + " is gone"))
		}
		want, ready := number(there, "spec", "replicas"), number(there, "status", "readyReplicas")
		if object.GetKind() == "DaemonSet" {
			want, ready = int64(len(on.Names)), number(there, "status", "numberReady")
		}
		if want == ready && number(there, "status", "observedGeneration") >= there.GetGeneration() {
			continue
		}
		trouble, err := podTrouble(ctx, on, there)
		return fmt.Sprintf("%s: %d of %d pods are ready%s", name, ready, want, trouble), err
	}
	return "", nil
}

func number(object *unstructured.Unstructured, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(object.Object, path...)
	return n
}

// podTrouble says what is wrong with one of an object's pods, if its status says so.
func podTrouble(ctx context.Context, on Nodes, object *unstructured.Unstructured) (string, error) {
	match, _, _ := unstructured.NestedStringMap(object.Object, "spec", "selector", "matchLabels")
	return kubestatus.Trouble(ctx, on.Client, object.GetNamespace(), labels.FormatLabels(match))
}

// capabilities are the bits of a set of capabilities.
type capabilities uint64

// boundingSet is what the first node's processes can have at most.
func boundingSet(ctx context.Context, on Nodes) (capabilities, error) {
	text, err := on.Run(ctx, on.Names[0], "", "grep", "CapBnd", "/proc/1/status")
	if err != nil {
		return 0, fmt.Errorf("node %s: capabilities: %w: %s", on.Names[0], err, strings.TrimSpace(text))
	}
	_, bits, _ := strings.Cut(text, ":")
	set, err := strconv.ParseUint(strings.TrimSpace(bits), 16, 64)
	return capabilities(set), err
}

// numbers of capabilities. Source: Linux include/uapi/linux/capability.h.
var numbers = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
	"SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
	"MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// has says whether a capability is in the set. One that nobody knows here is.
func (c capabilities) has(name string) bool {
	i := slices.Index(numbers, strings.TrimPrefix(name, "CAP_"))
	return i < 0 || c&(1<<i) != 0
}
