package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/podtemplate"

	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
)

// running waits until the workload has the pods that it should have, all running and with an address. Pods of jobs may have ended.
func (c *cluster) running(ctx context.Context) (pods []corev1.Pod, err error) {
	err = c.kind.cluster.WaitFor(ctx, limits.Pods, func(ctx context.Context) (missing string, err error) {
		pods, missing, err = c.look(ctx, kubestatus.NotRunning)
		return missing, err
	})
	return pods, err
}

// ready waits until the workload's pods are ready, so that its Services have endpoints.
func (c *cluster) ready(ctx context.Context) error {
	return c.kind.cluster.WaitFor(ctx, limits.Pods, func(ctx context.Context) (string, error) {
		_, missing, err := c.look(ctx, kubestatus.NotReady)
		return missing, err
	})
}

// look lists the workload's pods, without those that have done their work, and says what is missing.
func (c *cluster) look(ctx context.Context, trouble func(corev1.Pod) string) (pods []corev1.Pod, missing string, err error) {
	there, err := c.workloadPods(ctx)
	if err != nil {
		return nil, "", err
	}
	wanted, err := c.wanted(ctx)
	if err != nil {
		return nil, "", err
	}
	var all []string
	have := map[string]int{}
	for _, pod := range there {
		if wanted[pod.Labels[ownerLabel]].pending {
			continue
		}
		if pod.Status.Phase == corev1.PodSucceeded {
			have[pod.Labels[ownerLabel]]++
			continue
		}
		pods = append(pods, pod)
		if why := trouble(pod); why != "" {
			all = append(all, why)
			continue
		}
		have[pod.Labels[ownerLabel]]++
	}
	for owner, want := range wanted {
		switch {
		case want.pending:
		case want.missing != "":
			all = append(all, want.missing)
		case have[owner] < want.pods || have[owner] > want.pods && !want.ends:
			all = append(all, fmt.Sprintf("%s has %d pods that run, not %d", owner, have[owner], want.pods))
		}
	}
	slices.Sort(all)
	return pods, strings.Join(all, "; "), nil
}

// workloadPods are all pods of the workload, in whichever state.
func (c *cluster) workloadPods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := c.kind.cluster.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: kubeobjects.RunLabel + "=" + c.run})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// want is how many pods an object should have.
type want struct {
	pods int
	// ends means that its pods end, and others may follow them.
	ends bool
	// pending means that nobody waits for them.
	pending bool
	// missing says why that is not known yet.
	missing string
}

// wanted returns it for each object of the workload that has pods.
func (c *cluster) wanted(ctx context.Context) (map[string]want, error) {
	c.mu.Lock()
	given, pending := maps.Clone(c.given), maps.Clone(c.pending)
	c.mu.Unlock()
	all := map[string]want{}
	for key, text := range given {
		object := &unstructured.Unstructured{}
		if err := json.Unmarshal(text, object); err != nil {
			return nil, err
		}
		if _, ok := podtemplate.Path(object.GetAPIVersion(), object.GetKind()); !ok {
			continue
		}
		if pending[key] {
			all[object.GetName()] = want{pending: true}
			continue
		}
		there, err := c.objects.There(ctx, object.GetKind(), object.GetNamespace(), object.GetName())
		if err != nil {
			return nil, err
		}
		if there == nil {
			all[object.GetName()] = want{missing: fmt.Sprintf("%s %s is gone", object.GetKind(), object.GetName())}
			continue
		}
		all[object.GetName()] = wants(there)
	}
	return all, nil
}

// wants reads how many pods an object asks for, and whether its controller has acted on its newest version.
func wants(object *unstructured.Unstructured) want {
	number := func(otherwise int64, path ...string) int {
		if n, found, err := unstructured.NestedInt64(object.Object, path...); found && err == nil {
			return int(n)
		}
		return int(otherwise)
	}
	name := object.GetKind() + " " + object.GetName()
	switch object.GetKind() {
	case "Pod":
		return want{pods: 1}
	case "PodTemplate", "CronJob":
		return want{ends: true}
	case "Job":
		parallel := number(1, "spec", "parallelism")
		return want{pods: min(parallel, number(int64(parallel), "spec", "completions")), ends: true}
	}
	if int64(number(0, "status", "observedGeneration")) < object.GetGeneration() {
		return want{missing: name + ": its controller has not seen it yet"}
	}
	pods, updated := number(1, "spec", "replicas"), "updatedReplicas"
	switch object.GetKind() {
	case "DaemonSet":
		pods, updated = number(0, "status", "desiredNumberScheduled"), "updatedNumberScheduled"
	case "ReplicaSet", "ReplicationController":
		return want{pods: pods}
	}
	if n := number(0, "status", updated); n != pods {
		return want{missing: fmt.Sprintf("%s: %d of %d pods are of its newest version", name, n, pods)}
	}
	return want{pods: pods}
}
