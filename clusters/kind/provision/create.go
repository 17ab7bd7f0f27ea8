package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/kind/ownimage"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// maker makes one cluster.
type maker struct {
	*Cluster
	plugin cni.Plugin
	// version of Kubernetes in the nodes' image; cgroups is the version of the engine's cgroups.
	version, cgroups string
	// nodeArchives contain the nodes' image, archives the other images.
	nodeArchives, archives []string
	// own is the CNI's own image, or nil. File is what its project publishes, and engines are those of its images that the engine has.
	own     *ownimage.Image
	file    []byte
	engines []string
	// kind is closed when kind has returned; started says that it was called.
	kind    chan struct{}
	started bool
}

// Create makes a cluster and returns when it is ready. With a guard, the cluster is deleted at the end of the guard's run, even if the
// harness dies, unless Spec.Stay is set. Without a guard it stays. On an error only the files in Spec.Logs are left.
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
		return nil, err
	}
	if plugin.Own != nil {
		if m.own, err = plugin.Own(ctx, s.Bin); err != nil {
			return nil, fail(lacks(ctx, err))
		}
	}
	if m.nodeArchives, m.archives, err = sortArchives(s.Archives, s.Image); err != nil {
		return nil, fail(err)
	}
	if err := m.nodeImage(ctx); err != nil {
		return nil, fail(lacks(ctx, err))
	}
	if err := m.fetch(ctx); err != nil {
		return nil, fail(lacks(ctx, fmt.Errorf("CNI %s: %w", s.CNI, err)))
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
		{"setting the nodes' resolver", m.setResolver},
		{"loading images into the nodes", m.loadAll},
		{"keeping CoreDNS on the control plane", m.keepCoreDNS},
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

// containers is the record that removes the nodes.
func (m *maker) containers() undo.Record {
	return undo.Record{Step: &containers.Containers{Engine: m.engine, Cluster: m.Spec.Name, Instance: m.instance}}
}

// enclose makes the network and the fence around it.
func (m *maker) enclose(ctx context.Context) error {
	var err error
	if m.cgroups, err = m.engine.Run(ctx, "info", "--format", "{{.CgroupVersion}}"); err != nil {
		return err
	}
	// Undone last, for containers that the engine created after the harness was killed: without a network they cannot start. Containers are
	// also removed before the network, because it cannot be removed otherwise.
	network := undo.Record{Step: &containers.Network{Engine: m.engine, Name: m.Network, Instance: m.instance}}
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

// makeNodes calls kind, and waits for it no longer than the limit.
func (m *maker) makeNodes(ctx context.Context) error {
	var err error
	m.started = true
	go func() {
		defer close(m.kind)
		err = m.runKind(ctx)
	}()
	limit := time.NewTimer(limits.Nodes)
	defer limit.Stop()
	// kind waits for a node that has ended as if it were slow.
	running, done := m.WhileRunning(ctx)
	defer done()
	select {
	case <-m.kind:
		return err
	case <-running.Done():
		return context.Cause(running)
	case <-limit.C:
		return fmt.Errorf("kind did not finish within %s; see the last lines of kind.log in the logs", limits.Nodes)
	}
}

func (m *maker) loadAll(ctx context.Context) error {
	return m.inScratch(func(dir string) error {
		archives, err := m.saveImages(ctx, dir)
		if err != nil {
			return err
		}
		if m.own != nil {
			own := filepath.Join(dir, "cni.tar")
			if err := m.own.Save(own); err != nil {
				return err
			}
			archives = append(archives, own)
		}
		return m.Load(ctx, slices.Concat(m.archives, archives)...)
	})
}

// keepCoreDNS leaves the workers to scenarios.
func (m *maker) keepCoreDNS(ctx context.Context) error {
	if !cni.SharesNodes(len(m.Nodes)) {
		return nil
	}
	const patch = `{"spec": {"template": {"spec": {"nodeSelector": {"` + cni.ControlPlane + `": ""}}}}}`
	_, err := m.Client.AppsV1().Deployments("kube-system").Patch(ctx, "coredns", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func (m *maker) install(ctx context.Context) error {
	if m.plugin.Install == nil && m.plugin.Published == nil {
		return nil
	}
	// If a pod starts before kube-proxy has written its rules, its first packets to the API server are sent elsewhere, and connection
	// tracking sends the following ones there too. CoreDNS would then wait for half a minute.
	if err := m.WaitFor(ctx, limits.ProxyRules, func(ctx context.Context) (string, error) { return m.missingRules(ctx, apiService) }); err != nil {
		return err
	}
	objects, err := kubeobjects.New(m.Config)
	if err != nil {
		return err
	}
	on := cni.Nodes{Client: m.Client, Objects: objects, PodCIDR: PodCIDR, Run: m.run}
	if m.own != nil {
		on.Image = m.own.Ref()
	}
	for _, node := range m.Nodes {
		on.Names = append(on.Names, node.Container)
	}
	if m.plugin.Published != nil {
		return m.deploy(ctx, on)
	}
	return m.plugin.Install(ctx, on)
}

func (m *maker) ready(ctx context.Context) error {
	if m.Spec.Limit < 0 {
		return nil
	}
	return m.waitReady(ctx, m.Spec.Limit)
}

// unmake collects logs, if there is time, and deletes everything.
func (m *maker) unmake(ctx context.Context, cause error) error {
	errs := []error{cause}
	if ctx.Err() == nil && m.Spec.Logs != "" && m.started {
		m.Spec.tell("collecting what explains the failure")
		limited, cancel := context.WithTimeout(ctx, limits.Collect)
		// What could not be collected is noted in the folder.
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

// openLog creates a log file, if logs are kept.
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
