// Package place brings an agent into a pod's or a node's namespaces. The agent is started in a container that sees all processes of
// its node; it finds the place by a process of it.
package place

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Container is a container that runs, as it is seen from its node.
type Container struct {
	// ID is the runtime's, without its name: 64 hexadecimal digits.
	ID string
	// Pod is the uid of its pod, or nothing where the cgroup does not say.
	Pod string
	// First is the process that has been there for longest.
	First procs.ID
}

var (
	// idPattern is what runtimes call containers. Less than that could be found in anything.
	idPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// inCgroup finds a container's id at the end of the cgroup of a pod's container, as the drivers systemd and cgroupfs name it.
	// Source: Kubernetes pkg/kubelet/cm/cgroup_manager_linux.go and pod_container_manager_linux.go; the uid of a static pod is a hash.
	inCgroup = regexp.MustCompile(`pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?/(?:[a-z-]+-)?([0-9a-f]{64})(?:\.scope)?(?:/|$)`)
)

// ParseID takes a container's id with or without the runtime's name before it, as in a pod's status: containerd://….
func ParseID(text string) (string, error) {
	id := text
	if _, after, ok := strings.Cut(text, "://"); ok {
		id = after
	}
	if !idPattern.MatchString(id) {
		return "", fmt.Errorf("%q is not the id of a container: 64 hexadecimal digits", text)
	}
	return id, nil
}

// Find finds a container by its id.
func Find(text string) (Container, error) {
	id, err := ParseID(text)
	if err != nil {
		return Container{}, err
	}
	all, err := containers("/proc")
	if err != nil {
		return Container{}, err
	}
	for _, c := range all {
		if c.ID == id {
			return c, nil
		}
	}
	return Container{}, fmt.Errorf("container %s: %w among the %d containers of this node", id, os.ErrNotExist, len(all))
}

// Siblings lists the containers of the same pod, the pod's sandbox included, and itself.
func (c Container) Siblings() ([]Container, error) {
	all, err := containers("/proc")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(other Container) bool { return other.ID != c.ID && (c.Pod == "" || other.Pod != c.Pod) }), nil
}

// containers lists the pods' containers that have a process, in the order of those.
func containers(proc string) ([]Container, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	found := map[string]Container{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("%s/%d/cgroup", proc, pid))
		if err != nil {
			continue // it has ended
		}
		pod, id, ok := parseCgroup(string(text))
		if !ok {
			continue
		}
		process, err := procs.Of(pid)
		if err != nil {
			if procs.Gone(err) {
				continue
			}
			return nil, err
		}
		if first, ok := found[id]; !ok || process.Start < first.First.Start {
			found[id] = Container{ID: id, Pod: pod, First: process}
		}
	}
	var all []Container
	for _, c := range found {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Container) int { return a.First.PID - b.First.PID })
	return all, nil
}

// parseCgroup reads /proc/PID/cgroup, of cgroup v1 or v2. A container that has cgroups of its own below counts as well.
func parseCgroup(text string) (pod, container string, ok bool) {
	for line := range strings.Lines(text) {
		if m := inCgroup.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			return strings.ReplaceAll(m[1], "_", "-"), m[2], true
		}
	}
	return "", "", false
}

// InNetwork finds a process whose network namespace has this inode.
func InNetwork(netns uint64) (procs.ID, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return procs.ID{}, err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if inode, err := procs.Netns(pid); err == nil && inode == netns {
			id, err := procs.Of(pid)
			if err == nil {
				return id, nil
			}
		}
	}
	return procs.ID{}, fmt.Errorf("%w: no process is in the network namespace net:[%d]", ErrGone, netns)
}

// ErrGone is the error of a place that is no more.
var ErrGone = errors.New("the place is gone")
