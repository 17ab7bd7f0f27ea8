package undo

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
)

const (
	containersLimit    = time.Minute
	engineNetworkLimit = 30 * time.Second
	// straggler is how long a container may take to appear that the engine was already making when nobody waited for it any more.
	straggler = 300 * time.Millisecond
)

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

// FindEngine asks the engine that is used here who it is.
func FindEngine(ctx context.Context) (Engine, error) {
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
	if err := checkPrefix(name); err != nil {
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

func (c *Containers) String() string {
	return fmt.Sprintf("remove the containers of cluster %s", c.Cluster)
}

func (c *Containers) check() error {
	return c.Engine.check(c.Cluster, c.Instance)
}

func (c *Containers) undo(ctx context.Context) error {
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
	mine := LabelInstance + "=" + c.Instance
	tick := time.NewTicker(straggler)
	defer tick.Stop()
	for empty := 0; ; {
		ids, err := c.Engine.Run(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+LabelKindCluster+"="+c.Cluster, "--filter", "label="+mine)
		if err != nil {
			return err
		}
		if ids == "" {
			empty++
		} else {
			empty = 0
			// One may have been removed meanwhile, by whoever; what counts is that none is there.
			_, err = c.Engine.Run(ctx, append([]string{"rm", "--force", "--volumes"}, strings.Fields(ids)...)...)
		}
		if empty == 2 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s: %w", c, ctx.Err()), err)
		case <-tick.C:
		}
	}
}

// EngineNetwork removes a network of the container engine.
type EngineNetwork struct {
	Engine Engine `json:"engine"`
	Name   string `json:"name"`
	// Instance is the value of its label: another network of that name stays.
	Instance string `json:"instance"`
}

func (n *EngineNetwork) String() string { return fmt.Sprintf("remove the engine's network %s", n.Name) }

func (n *EngineNetwork) check() error {
	return n.Engine.check(n.Name, n.Instance)
}

func (n *EngineNetwork) undo(ctx context.Context) error {
	if err := n.Engine.same(ctx); err != nil {
		return err
	}
	ids, err := n.Engine.Run(ctx, "network", "ls", "--quiet", "--no-trunc", "--filter", "name=^"+n.Name+"$", "--filter", "label="+LabelInstance+"="+n.Instance)
	if err != nil || ids == "" {
		return err
	}
	_, err = n.Engine.Run(ctx, append([]string{"network", "rm"}, strings.Fields(ids)...)...)
	return err
}
