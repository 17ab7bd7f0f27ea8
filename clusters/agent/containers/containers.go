// Package containers reaches a container engine through its client program, and undoes what relapse has made there. Programs that read journals
// import it, so that they can undo it too.
package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// A journal's lines are decoded by the kinds that its reader has, as an image is by its formats.
func init() {
	undo.Register(func() undo.Step { return &Containers{} })
	undo.Register(func() undo.Step { return &Network{} })
}

// Labels of what relapse makes in a container engine.
const (
	// LabelKindCluster is kind's own label of a cluster's containers.
	LabelKindCluster = "io.x-k8s.kind.cluster"
	// LabelInstance of a cluster's network tells clusters apart that had the same name, one after the other.
	LabelInstance = "relapse.dev/instance"
)

// Engine is a container engine, as its client program reaches it.
type Engine struct {
	// Program is the client: docker.
	Program string `json:"program"`
	// Host is DOCKER_HOST as it was; empty is the client's own choice.
	Host string `json:"host,omitempty"`
	// ID is what the engine calls itself. On another engine nothing may be undone: that nothing is found there would mean nothing.
	ID string `json:"id"`
}

// Find asks the engine that is used here who it is.
func Find(ctx context.Context) (Engine, error) {
	e := Engine{Program: "docker", Host: os.Getenv("DOCKER_HOST")}
	id, err := e.askID(ctx)
	e.ID = id
	return e, err
}

func (e Engine) askID(ctx context.Context) (string, error) {
	text, err := e.Run(ctx, "info", "--format", "{{.ID}}")
	if err == nil && text == "" {
		err = fmt.Errorf("%s info: the engine does not say who it is", e.Program)
	}
	return text, err
}

// Run runs the client and returns what it printed.
func (e Engine) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, e.Program, args...)
	if e.Host != "" {
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", e.Program, strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

// label is what a cluster may be called: its name stands in filters, which take patterns.
var label = regexp.MustCompile(`^[a-z0-9-]+$`)

func (e Engine) check(name, instance string) error {
	if err := undo.CheckPrefix(name); err != nil {
		return err
	}
	if !label.MatchString(name) || !label.MatchString(instance) {
		return fmt.Errorf("a cluster's name and instance are small letters, digits and dashes, not %q and %q", name, instance)
	}
	if e.Program == "" || e.ID == "" {
		return errors.New("needs the engine's program and id")
	}
	return nil
}

// same refuses another engine than the one that the record is about.
func (e Engine) same(ctx context.Context) error {
	id, err := e.askID(ctx)
	if err == nil && id != e.ID {
		err = fmt.Errorf("the container engine here is %s, and this is about %s (DOCKER_HOST=%q)", id, e.ID, e.Host)
	}
	return err
}

// Containers removes the containers of a kind cluster that relapse has made, with their volumes.
type Containers struct {
	Engine Engine `json:"engine"`
	// Cluster is the value of their label io.x-k8s.kind.cluster, and the name of their network.
	Cluster string `json:"cluster"`
	// Instance is the value of the label of containers and network. Where the network is another one, they stay.
	Instance string `json:"instance"`
}

// Kind is its name in a journal.
func (*Containers) Kind() string { return "containers" }

// Limit is how long the engine may take.
func (*Containers) Limit() time.Duration { return limits.EngineRemoves }

func (c *Containers) String() string {
	return fmt.Sprintf("remove the containers of cluster %s", c.Cluster)
}

// Check says what is wrong with the record.
func (c *Containers) Check() error { return c.Engine.check(c.Cluster, c.Instance) }

// Undo removes them until the engine has had none for a while.
func (c *Containers) Undo(ctx context.Context) error {
	if err := c.Engine.same(ctx); err != nil {
		return err
	}
	networks, err := c.Engine.Run(ctx, "network", "ls", "--filter", "name=^"+c.Cluster+"$", "--format", `{{.Label "`+LabelInstance+`"}}`)
	if err != nil {
		return err
	}
	if networks != "" && networks != c.Instance {
		return nil
	}
	none := 0
	return await.Until(ctx, 0, limits.Straggler, func(ctx context.Context) (string, error) {
		ids, err := c.Engine.Run(ctx, "ps", "--all", "--quiet", "--no-trunc",
			"--filter", "label="+LabelKindCluster+"="+c.Cluster, "--filter", "label="+LabelInstance+"="+c.Instance)
		switch {
		case err != nil:
			return "", await.Stop(err)
		case ids != "":
			none = 0
			// One may have been removed meanwhile, by anybody; what counts is that none is left.
			_, err = c.Engine.Run(ctx, append([]string{"rm", "--force", "--volumes"}, strings.Fields(ids)...)...)
			return "containers are left: " + strings.Join(strings.Fields(ids), ", "), err
		}
		if none++; none < 2 {
			return "the engine may still be making one", nil
		}
		return "", nil
	})
}

// Network removes a network of the container engine.
type Network struct {
	Engine Engine `json:"engine"`
	Name   string `json:"name"`
	// Instance is the value of its label: another network of that name stays.
	Instance string `json:"instance"`
}

// Kind is its name in a journal.
func (*Network) Kind() string { return "engine-network" }

// Limit is how long the engine may take.
func (*Network) Limit() time.Duration { return limits.EngineRemoves }

func (n *Network) String() string { return fmt.Sprintf("remove the engine's network %s", n.Name) }

// Check says what is wrong with the record.
func (n *Network) Check() error { return n.Engine.check(n.Name, n.Instance) }

// Undo removes it, unless it is another one.
func (n *Network) Undo(ctx context.Context) error {
	if err := n.Engine.same(ctx); err != nil {
		return err
	}
	none := 0
	return await.Until(ctx, 0, limits.Straggler, func(ctx context.Context) (string, error) {
		ids, err := n.Engine.Run(ctx, "network", "ls", "--quiet", "--no-trunc",
			"--filter", "name=^"+n.Name+"$", "--filter", "label="+LabelInstance+"="+n.Instance)
		if err == nil && ids != "" {
			_, err = n.Engine.Run(ctx, append([]string{"network", "rm"}, strings.Fields(ids)...)...)
			return "", await.Stop(err)
		}
		if none++; err == nil && none < 2 {
			return "the engine may still be making it", nil // for a client that was killed
		}
		return "", await.Stop(err)
	})
}
