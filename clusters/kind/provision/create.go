package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/harness/guard"
	"github.com/relapse-k8s/relapse/harness/undo"
)

const (
	// nodesLimit bounds what kind does; kubeadm by itself waits up to four minutes.
	nodesLimit = 6 * time.Minute
	// readyLimit is how long a cluster may take to get ready after that, where nothing else was said.
	readyLimit = 3 * time.Minute
	// proxyLimit is how long kube-proxy may take to write its first rules.
	proxyLimit = time.Minute
	// endLimit is how long kind may take to give up.
	endLimit = time.Minute
	// collectLimit bounds the looking around after a failure.
	collectLimit = time.Minute
	// pollEvery is how often a condition is looked at.
	pollEvery = 250 * time.Millisecond
)

// maker makes one cluster.
type maker struct {
	*Cluster
	plugin cni.Plugin
	// version of Kubernetes in the nodes' image, cgroups that of the engine's cgroups.
	version, cgroups string
	// nodeArchives hold the nodes' image, archives others.
	nodeArchives, archives []string
	// kind is closed when kind has come back, and started when it was called.
	kind    chan struct{}
	started bool
}

// Create makes a cluster and returns when it is ready. With a guard it goes with the guard's run, whatever becomes of the harness, unless
// it is to stay; without one it stays. On an error nothing is left but what is in Spec.Logs.
func Create(ctx context.Context, s Spec, g *guard.Guard) (*Cluster, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	s = s.withDefaults()
	s.Stay = s.Stay || g == nil
	fail := func(err error) error { return fmt.Errorf("cluster %s: %w", s.Name, err) }
	plugin, err := cni.Find(s.CNI)
	if err != nil {
		return nil, fail(err)
	}
	instance := newInstance()
	m := &maker{plugin: plugin, kind: make(chan struct{}), Cluster: &Cluster{
		Spec: s, Network: s.Name, Bridge: bridgeOf(instance), instance: instance,
		made: &ledger{what: "cluster " + s.Name + " " + instance, guard: g},
	}}
	if m.engine, err = findEngine(ctx); err != nil {
		return nil, fail(fmt.Errorf("%w: %w", clusters.ErrMissing, err))
	}
	if m.nodeArchives, m.archives, err = sortArchives(s.Archives, s.Image); err != nil {
		return nil, fail(err)
	}
	if err := m.nodeImage(ctx); err != nil {
		return nil, fail(fmt.Errorf("%w: %w", clusters.ErrMissing, err))
	}
	if err := m.make(ctx); err != nil {
		return nil, fail(m.unmake(ctx, err))
	}
	if m.Spec.Stay {
		if err := m.made.forget(ctx); err != nil {
			return nil, fail(m.unmake(ctx, err))
		}
	}
	return m.Cluster, nil
}

func (m *maker) make(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"making the nodes' network", m.enclose},
		{"looking into the nodes' image", m.lookInto},
		{"making nodes", m.makeNodes},
		{"asking the engine about the nodes", m.find},
		{"turning the nodes' resolver", m.turnResolver},
		{"loading images into the nodes", m.loadAll},
		{"installing the CNI " + m.Spec.CNI, m.install},
		{"waiting until it is ready", m.ready},
	} {
		m.Spec.tell(step.what)
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// containers is how to remove the nodes.
func (m *maker) containers() undo.Record {
	return undo.Record{Containers: &undo.Containers{Engine: m.engine, Cluster: m.Spec.Name, Instance: m.instance}}
}

// enclose makes the network and puts the fence around it.
func (m *maker) enclose(ctx context.Context) error {
	var err error
	if m.cgroups, err = m.engine.Run(ctx, "info", "--format", "{{.CgroupVersion}}"); err != nil {
		return err
	}
	// Undone last: containers that the engine was asked for when the harness was killed, and that cannot start without a network.
	// They come before the network too, or it could not be removed.
	network := undo.Record{EngineNetwork: &undo.EngineNetwork{Engine: m.engine, Name: m.Network, Instance: m.instance}}
	if err := m.made.before(ctx, m.containers(), network); err != nil {
		return err
	}
	if err := m.makeNetwork(ctx); err != nil {
		return err
	}
	if !m.Spec.AllowEgress {
		if err := m.checkBridge(); err != nil {
			return err
		}
		if err := m.made.before(ctx, fenceRecord(m.instance)); err != nil {
			return err
		}
		if err := fence(m.instance, m.Subnet); err != nil {
			return err
		}
	}
	return m.made.before(ctx, m.containers())
}

// makeNodes calls kind, and does not wait for it longer than the limit.
func (m *maker) makeNodes(ctx context.Context) error {
	var err error
	m.started = true
	go func() {
		defer close(m.kind)
		err = m.runKind(ctx)
	}()
	limit := time.NewTimer(nodesLimit)
	defer limit.Stop()
	// Kind waits for a node that has ended as it does for one that is slow.
	running, done := m.WhileRunning(ctx)
	defer done()
	select {
	case <-m.kind:
		return err
	case <-running.Done():
		return context.Cause(running)
	case <-limit.C:
		return fmt.Errorf("kind has not made them within %s; kind.log in the logs says what it was at", nodesLimit)
	}
}

func (m *maker) loadAll(ctx context.Context) error { return m.Load(ctx, m.archives...) }

func (m *maker) install(ctx context.Context) error {
	if m.plugin.Install == nil {
		return nil
	}
	// A pod that starts before there are rules has its first packets to the API server go astray, and connection tracking sends those
	// that follow after them: CoreDNS would wait for half a minute.
	if err := m.waitFor(ctx, proxyLimit, func(ctx context.Context) (string, error) { return m.lacksRules(ctx, apiService) }); err != nil {
		return err
	}
	on := cni.Nodes{Client: m.Client, PodCIDR: PodCIDR, Run: m.run}
	for _, node := range m.Nodes {
		on.Names = append(on.Names, node.Container)
	}
	return m.plugin.Install(ctx, on)
}

func (m *maker) ready(ctx context.Context) error {
	if m.Spec.Limit < 0 {
		return nil
	}
	return m.waitReady(ctx, m.Spec.Limit)
}

// unmake looks around, if there is time, and takes everything away.
func (m *maker) unmake(ctx context.Context, cause error) error {
	errs := []error{cause}
	if ctx.Err() == nil && m.Spec.Logs != "" && m.started {
		m.Spec.tell("collecting what explains the failure")
		limited, cancel := context.WithTimeout(ctx, collectLimit)
		// That something could not be collected is in the folder itself.
		_ = m.Collect(limited, m.Spec.Logs)
		cancel()
		errs[0] = fmt.Errorf("%w\nlogs, events and descriptions are in %s", cause, m.Spec.Logs)
	}
	m.Spec.tell("deleting the cluster")
	if m.started {
		errs = append(errs, m.endKind(ctx))
	}
	return errors.Join(append(errs, m.made.undo(ctx))...)
}

// openLog makes a file among the logs, if any are kept.
func (m *maker) openLog(name string) (io.WriteCloser, error) {
	if m.Spec.Logs == "" {
		return nopCloser{io.Discard}, nil
	}
	if err := os.MkdirAll(m.Spec.Logs, 0o755); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(m.Spec.Logs, name))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
