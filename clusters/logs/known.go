package logs

import (
	"slices"
	"strings"
)

// Event is what is known of a line.
type Event struct {
	// Means says in a few words what the line means.
	Means string
	// Fields are the names of the values in it.
	Fields []string
}

// Sources and events that clusters report, beside the lines of programs.
const (
	SourcePolicy     = "policy"
	SourceKubernetes = "kubernetes"
	PolicyDrop       = "policy-drop"
	NodeNotReady     = "node-not-ready"
	PodPending       = "pod-pending"
)

// Known returns all lines that a detector can look for, but for the kernel's: by source, and then by event.
func Known() map[string]map[string]Event {
	all := map[string]map[string]Event{
		SourcePolicy: {PolicyDrop: {
			Means:  "a network policy dropped a packet: the lab logs it by NFLOG, Cilium by Hubble",
			Fields: []string{"namespace", "pod", "direction", "policy", "peer", "protocol", "port"},
		}},
		SourceKubernetes: {
			NodeNotReady: {Means: "a node is not ready; reported again while that is so", Fields: []string{"reason"}},
			PodPending:   {Means: "a pod of kube-system or of the scenario is Pending; reported again while that is so", Fields: []string{"app", "reason"}},
		},
	}
	for reason := range strings.FieldsSeq(reasons) {
		all[SourceKubernetes][reason] = Event{Means: "an event of the cluster's, as kubectl get events lists it", Fields: []string{"namespace", "object", "type"}}
	}
	for _, k := range lines {
		if all[k.source] == nil {
			all[k.source] = map[string]Event{}
		}
		fields := slices.Sorted(slices.Values(append(all[k.source][k.event].Fields, k.pattern.SubexpNames()[1:]...)))
		all[k.source][k.event] = Event{Means: meanings[k.event], Fields: slices.Compact(fields)}
	}
	return all
}

// reasons are those of the events of Kubernetes' own components. Source: Kubernetes pkg/kubelet/events/event.go,
// pkg/scheduler/schedule_one.go, pkg/controller (nodelifecycle, nodeipam, replicaset, deployment, endpoint, endpointslice, tainteviction).
const reasons = `
	Created Started Failed Killing Preempting BackOff ExceededGracePeriod FailedKillPod FailedCreatePodContainer NetworkNotReady
	Pulling Pulled InspectFailed ErrImageNeverPull NodeReady NodeNotReady NodeSchedulable NodeNotSchedulable Starting KubeletSetupFailed
	FailedAttachVolume FailedMount VolumeResizeFailed VolumeResizeSuccessful FileSystemResizeFailed FileSystemResizeSuccessful FailedMapVolume
	AlreadyMountedVolume SuccessfulAttachVolume SuccessfulMountVolume Rebooted NodeShutdown ContainerGCFailed ImageGCFailed
	FailedNodeAllocatableEnforcement NodeAllocatableEnforced SandboxChanged FailedCreatePodSandBox FailedPodSandBoxStatus
	InvalidDiskCapacity FreeDiskSpaceFailed Unhealthy ProbeWarning FailedSync FailedValidation FailedPostStartHook FailedPreStopHook
	DNSConfigForming MissingClusterDNS SystemOOM NodeHasSufficientMemory NodeHasInsufficientMemory NodeHasNoDiskPressure
	NodeHasDiskPressure NodeHasSufficientPID NodeHasInsufficientPID Scheduled FailedScheduling Preempted WaitingForGates
	RegisteredNode RemovingNode DeletingNode CIDRNotAvailable CIDRAssignmentFailed TaintManagerEviction SuccessfulCreate FailedCreate
	SuccessfulDelete FailedDelete ScalingReplicaSet FailedToCreateEndpoint FailedToUpdateEndpoint FailedToUpdateEndpointSlices
	TopologyAwareHintsEnabled TopologyAwareHintsDisabled LeaderElection`
