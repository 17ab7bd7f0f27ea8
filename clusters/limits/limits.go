// Package limits has every time-out of clusters, and how often what nobody announces is looked at. What is slower than its limit is an
// error that says what was seen last.
package limits

import "time"

// How often to look.
const (
	// Poll is how often a condition of a cluster is looked at.
	Poll = 200 * time.Millisecond
	// NodesPoll is how often the engine is asked whether the nodes still run while something else is waited for.
	NodesPoll = 2 * time.Second
	// StatesPoll is how often the states of nodes and pods are looked at, as a person would with kubectl get --watch.
	StatesPoll = time.Second
	// JournalPoll is how often an agent looks whether a dead agent's journal is gone, and KeepPoll how often its keeper looks for one.
	JournalPoll = 20 * time.Millisecond
	KeepPoll    = 500 * time.Millisecond
	// LogPoll is how often a container whose log is followed is looked for after it has ended.
	LogPoll = 200 * time.Millisecond
	// Straggler is how long a container may take to appear that the engine was already making when its client was killed.
	Straggler = 300 * time.Millisecond
)

// Making a cluster.
const (
	// Nodes is how long kind may take to make nodes; kubeadm by itself waits up to four minutes.
	Nodes = 6 * time.Minute
	// PodCIDRs is how long the controller manager may take to give each node its share of the pods' addresses.
	PodCIDRs = time.Minute
	// ProxyRules is how long kube-proxy may take to write its first rules.
	ProxyRules = time.Minute
	// ClusterReady is how long a cluster may take to get ready after that, unless its Spec says otherwise.
	ClusterReady = 3 * time.Minute
	// CNIReady is how long the pods of a CNI may take to be ready, with programs that they compile.
	CNIReady = 3 * time.Minute
	// Download is how long a manifest or a chart may take to come, and Pull an image.
	Download = time.Minute
	Pull     = 10 * time.Minute
	// ImageMissing is how long the kubelet may say that an image is missing before it is believed: it may not have looked since archives
	// were loaded.
	ImageMissing = 15 * time.Second
	// KindGivesUp is how long kind may take to return when its containers are removed under it.
	KindGivesUp = time.Minute
	// Collect is how long the logs and descriptions of a cluster that did not get ready are collected.
	Collect = time.Minute
	// Answer is how long a cluster may take to say what is on it.
	Answer = 10 * time.Second
	// EngineRemoves is how long the container engine may take to remove a cluster's containers, or its network.
	EngineRemoves = time.Minute
)

// A workload on a cluster.
const (
	// Pods is how long pods may take to run, or nodes to get ready or not ready.
	Pods = 90 * time.Second
	// Reach is how long a Service may take to be reached from a place.
	Reach = 30 * time.Second
	// ProxySync is how long each kube-proxy may take to synchronize.
	ProxySync = 30 * time.Second
	// SameNodes is how long nodes may take to look as before when a workload is gone.
	SameNodes = 45 * time.Second
	// ObjectsGone is how long a workload's objects may take to be gone, and TakeDown how long all of it may.
	ObjectsGone = time.Minute
	TakeDown    = 2 * time.Minute
	// Look is how long one look at the cluster may take during a run, and Debug how long a debug container may. A fault may cut off the
	// API server, which is worth showing, but not worth waiting for.
	Look  = 3 * time.Second
	Debug = 10 * time.Second
)

// Agents.
const (
	// AgentsInstalled is how long the agents may take to run on every node, or to be gone.
	AgentsInstalled = 2 * time.Minute
	// AgentDial is how long an agent may take to serve at its place. It waits there for what a dead one has left.
	AgentDial = time.Minute
	// AgentCloses is how long an agent on a node may take to undo all and end once its stream is closed, before the exec is broken off.
	AgentCloses = 30 * time.Second
	// AgentEnds is how long an agent on this machine may take to end before it is killed. What it has not undone goes with its namespace.
	AgentEnds = 5 * time.Second
	// Killed is how long the kernel may take to end a process that was killed.
	Killed = 10 * time.Second
	// Enter is how long a look into another mount namespace may take.
	Enter = 10 * time.Second
	// Supervisor is how long a container's supervisor may take to answer.
	Supervisor = 5 * time.Second
	// FirstRetry and LastRetry are how long after a failure the keeper of journals tries again: later and later.
	FirstRetry = time.Second
	LastRetry  = time.Minute
)
