// Package clustertest is a cluster in the test's own process: agents are served over pipes, objects are kept in a map, and each call
// can be made to fail. It needs neither root nor a kernel.
package clustertest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/logs"
)

// Cluster is a clusters.Cluster. Its zero value has no places; fields are set before it is used.
type Cluster struct {
	// Fail, if not nil, is called before each call that can fail, with its name and what it is about: "apply Service default/web",
	// "settle", "close". If it returns an error, the call returns it and does nothing.
	Fail func(call string) error
	// NodeOf is the place of the node that a pod is on, by the pod's place.
	NodeOf map[string]string
	// Lines are reported to whoever follows the cluster.
	Lines chan logs.Line

	mu        sync.Mutex
	conns     map[string]*agent.Conn
	kill      map[string]context.CancelFunc
	objects   map[string][]byte
	crowd     clusters.Crowd
	proxyMode string
	serving   sync.WaitGroup
}

// Serve starts an agent at a place. When its stream ends, and all requests have, it calls end, in which agents undo what they did.
func (c *Cluster) Serve(place string, ops map[string]agent.Handler, end func()) {
	requestR, requestW := io.Pipe()
	answerR, answerW := io.Pipe()
	ctx, kill := context.WithCancel(context.Background())
	c.serving.Go(func() {
		defer kill()
		err := agent.Serve(ctx, requestR, answerW, ops)
		if end != nil {
			end()
		}
		_ = requestR.CloseWithError(io.ErrClosedPipe) // always nil
		_ = answerW.CloseWithError(err)
	})
	c.Add(agent.NewConn(place, answerR, requestW))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kill == nil {
		c.kill = map[string]context.CancelFunc{}
	}
	c.kill[place] = kill
}

// Add adds an agent that runs elsewhere, under its name.
func (c *Cluster) Add(conn *agent.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		c.conns = map[string]*agent.Conn{}
	}
	c.conns[conn.Name()] = conn
}

// Kill ends an agent that Serve has started, as if its process had died.
func (c *Cluster) Kill(place string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kill[place]()
}

func (c *Cluster) fail(format string, args ...any) error {
	if c.Fail == nil {
		return nil
	}
	return c.Fail(fmt.Sprintf(format, args...))
}

// Places lists the places that have an agent.
func (c *Cluster) Places() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.conns))
}

// Resolve turns a selector into places.
func (c *Cluster) Resolve(on string) ([]string, error) {
	var places []string
	pod, isNodeOf := strings.CutPrefix(on, "node-of/")
	for _, place := range c.Places() {
		if place == on || on == "nodes" && strings.HasPrefix(place, "node/") || isNodeOf && place == c.NodeOf["pod/"+pod] {
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("%s: no such place; must be nodes or one of %s", on, strings.Join(c.Places(), ", "))
	}
	return places, nil
}

// Address of a node or pod: one reserved for documentation.
func (c *Cluster) Address(string) (string, error) { return "192.0.2.1", nil }

// Agent of a place, or nil.
func (c *Cluster) Agent(place string) *agent.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[place]
}

// Enter is a command that cannot work: the places are not on any machine.
func (c *Cluster) Enter(place string) []string { return []string{"false", place} }

func key(kind, namespace, name string) string {
	if namespace == "" && kind != "Namespace" {
		namespace = "default"
	}
	return strings.TrimSpace(kind + " " + strings.TrimPrefix(namespace+"/"+name, "/"))
}

func keyOf(object []byte) (string, error) {
	var head struct {
		Kind     string
		Metadata struct{ Namespace, Name string }
	}
	err := json.Unmarshal(object, &head)
	return key(head.Kind, head.Metadata.Namespace, head.Metadata.Name), err
}

// Apply keeps an object. A Service without a ClusterIP gets one.
func (c *Cluster) Apply(ctx context.Context, object []byte) error {
	key, err := keyOf(object)
	if err == nil {
		err = c.fail("apply %s", key)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects == nil {
		c.objects = map[string][]byte{}
	}
	c.objects[key] = object
	return nil
}

// Delete deletes an object.
func (c *Cluster) Delete(ctx context.Context, kind, namespace, name string) error {
	key := key(kind, namespace, name)
	if err := c.fail("delete %s", key); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, key)
	return ctx.Err()
}

// Object returns an object as it was applied. A Service has a ClusterIP too.
func (c *Cluster) Object(ctx context.Context, kind, namespace, name string) ([]byte, error) {
	key := key(kind, namespace, name)
	if err := c.fail("object %s", key); err != nil {
		return nil, err
	}
	c.mu.Lock()
	text := c.objects[key]
	c.mu.Unlock()
	if text == nil || kind != "Service" {
		return text, ctx.Err()
	}
	var service map[string]any
	if err := json.Unmarshal(text, &service); err != nil {
		return nil, err
	}
	spec, _ := service["spec"].(map[string]any)
	if spec == nil {
		spec = map[string]any{}
		service["spec"] = spec
	}
	if spec["clusterIP"] == nil {
		spec["clusterIP"] = "10.96.1.1"
	}
	return json.Marshal(service)
}

// Keep remembers an object as it was applied.
func (c *Cluster) Keep(_ context.Context, kind, namespace, name string) (func(context.Context) error, error) {
	key := key(kind, namespace, name)
	if err := c.fail("keep %s", key); err != nil {
		return nil, err
	}
	c.mu.Lock()
	former := c.objects[key]
	c.mu.Unlock()
	return func(ctx context.Context) error {
		if former == nil {
			return c.Delete(ctx, kind, namespace, name)
		}
		return c.Apply(ctx, former)
	}, nil
}

// Objects lists the objects, as "Service default/web".
func (c *Cluster) Objects() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.objects))
}

// Crowd is what SetCrowd was last told.
func (c *Cluster) Crowd() clusters.Crowd {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crowd
}

// SetCrowd keeps a number of Services.
func (c *Cluster) SetCrowd(ctx context.Context, crowd clusters.Crowd) error {
	if err := c.fail("crowd of %d", crowd.Count); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crowd = crowd
	return ctx.Err()
}

// ProxyMode is nftables, or what SetProxyMode was last told.
func (c *Cluster) ProxyMode() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.proxyMode, "nftables")
}

// SetProxyMode keeps a mode.
func (c *Cluster) SetProxyMode(ctx context.Context, mode string) error {
	if err := c.fail("proxy mode %s", mode); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proxyMode = mode
	return ctx.Err()
}

// Follow reports Lines.
func (c *Cluster) Follow(ctx context.Context, report func(logs.Line)) error {
	if err := c.fail("follow"); err != nil {
		return err
	}
	for {
		select {
		case line := <-c.Lines:
			report(line)
		case <-ctx.Done():
			return nil
		}
	}
}

// Settle has nothing to wait for.
func (c *Cluster) Settle(context.Context) error { return c.fail("settle") }

// Interrupt ends the streams to all agents.
func (c *Cluster) Interrupt() {
	for _, place := range c.Places() {
		_ = c.Agent(place).Close() // an agent that has gone cannot be told
	}
}

// Close ends all agents and returns when they have ended.
func (c *Cluster) Close(context.Context) error {
	c.Interrupt()
	c.serving.Wait()
	for _, place := range c.Places() {
		<-c.Agent(place).Gone()
	}
	return c.fail("close")
}
