package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/logs"
)

const outsidePlace = "outside"

// Places lists the lane's nodes (also those that the scenario does not use), the workload's pods, and the outside.
func (c *cluster) Places() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(withOutside(c.conns, c.outside.Conn)))
}

func withOutside(conns map[string]*agent.Conn, outside *agent.Conn) map[string]*agent.Conn {
	all := maps.Clone(conns)
	all[outsidePlace] = outside
	return all
}

// Resolve turns a selector into places.
func (c *cluster) Resolve(on string) ([]string, error) {
	var places []string
	if on == "nodes" {
		for _, n := range c.nodes {
			places = append(places, "node/"+n.Name)
		}
		return places, nil
	}
	if name, ok := strings.CutPrefix(on, "node-of/"); ok {
		for _, place := range c.podsNamed(name) {
			if node := c.nodeOf(place); node != "" && !slices.Contains(places, node) {
				places = append(places, node)
			}
		}
	} else if name, ok := strings.CutPrefix(on, "pod/"); ok {
		places = c.podsNamed(name)
	} else if c.Agent(on) != nil {
		places = []string{on}
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("%s: no such place; must be nodes or one of %s", on, strings.Join(c.Places(), ", "))
	}
	return places, nil
}

// podsNamed returns the places of the pod with this name, or of the pods of the Deployment with this name.
func (c *cluster) podsNamed(name string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var places []string
	for place, pod := range c.pods {
		if pod.Name == name || pod.Labels[ownerLabel] == name {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return places
}

// nodeOf is the place of the node that a pod is on.
func (c *cluster) nodeOf(place string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	node, ok := c.on(c.pods[place].Spec.NodeName)
	if !ok {
		return ""
	}
	return "node/" + node.Name
}

// Address of a node or pod.
func (c *cluster) Address(place string) (string, error) {
	if n, ok := c.node(place); ok {
		return n.Address.String(), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if pod, ok := c.pods[place]; ok {
		return pod.Status.PodIP, nil
	}
	return "", fmt.Errorf("%s is no node or pod", place)
}

// Agent of a place, or nil.
func (c *cluster) Agent(place string) *agent.Conn {
	if place == outsidePlace {
		return c.outside.Conn
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[place]
}

// Enter is the engine's exec for nodes, with a pod's network namespace for pods.
func (c *cluster) Enter(place string) []string {
	if place == outsidePlace {
		return []string{"nsenter", "-t", fmt.Sprint(c.outside.PID()), "-n", "-m", "-u", "-p"}
	}
	node := place
	if strings.HasPrefix(place, "pod/") {
		node = c.nodeOf(place)
	}
	n, _ := c.node(node)
	enter := []string{"docker", "exec", "-it", n.Container}
	if node == place {
		return enter
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	pod := c.pods[place]
	// crictl names containers by their pod and name too.
	inspect := fmt.Sprintf(`$(docker exec %s crictl inspect -o go-template --template '{{.info.pid}}' %s)`, n.Container, containerID(pod))
	return append(enter, "nsenter", "-t", inspect, "-n")
}

func containerID(pod *corev1.Pod) string {
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	return id
}

// Follow reports the cluster's events, unhealthy states, and the known lines in the logs of pods, one at a time.
func (c *cluster) Follow(ctx context.Context, tell func(logs.Line)) error {
	var one sync.Mutex
	hear := func(line logs.Line) {
		one.Lock()
		defer one.Unlock()
		tell(line)
	}
	group, all := errgroup.WithContext(ctx)
	group.Go(func() error { return c.followEvents(all, hear) })
	group.Go(func() error { return c.followStates(all, hear) })
	group.Go(func() error { return c.followFlows(all, hear) })
	c.mu.Lock()
	pods := maps.Clone(c.pods)
	c.mu.Unlock()
	for place, pod := range pods {
		for _, container := range pod.Spec.Containers {
			image := c.prepare.images[pod.Labels[ownerLabel]+"/"+container.Name]
			source := logs.SourceOf(image)
			if len(logs.Patterns(source)) == 0 {
				continue
			}
			say := func(line string) {
				if entry, ok := logs.Recognize(source, line); ok {
					entry.On = place
					hear(entry)
				}
			}
			group.Go(func() error {
				if !images.Known(image) {
					return c.kind.followPod(all, pod, container.Name, say)
				}
				return c.followProgram(all, place, container.Name, logs.Patterns(source), say)
			})
		}
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// followProgram reports the lines of a supervised program that match.
func (c *cluster) followProgram(ctx context.Context, place, container string, match []string, say func(line string)) error {
	_, err := program.Follow.Call(ctx, c.Agent(place), program.Following{Name: container, Match: match}, say)
	if errors.Is(err, agent.ErrGone) {
		return nil // a pod that has gone says nothing more
	}
	return err
}
