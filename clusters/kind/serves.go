package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	registry "github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/podtemplate"
)

// serveTimes is how many times in a row a pod on every node must resolve a name and connect before a cluster counts as ready.
const serveTimes = 5

// checkName is the name of the pods and the Service that check a cluster.
const checkName = "relapse-check"

// serves checks that a cluster works: on every node a pod connects, by name, to a Service with pods on all nodes.
func (k *Kind) serves(ctx context.Context) (err error) {
	c := k.workload(clusters.Spec{Run: checkName, Nodes: len(k.cluster.Nodes)}, k.all)
	defer func() { err = errors.Join(err, c.takeDown(ctx)) }()
	objects := []any{map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": checkName},
		"spec": map[string]any{"selector": map[string]any{"app": checkName}, "ports": []any{map[string]any{"port": 80, "targetPort": 8080}}},
	}}
	for _, node := range k.cluster.Nodes {
		objects = append(objects, corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Name: checkName + "-" + node.Name, Labels: map[string]string{"app": checkName}},
			Spec: corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{
				{Name: "main", Image: images.Agent, Args: []string{"server", ":8080"}},
			}},
		})
	}
	for _, object := range objects {
		text, err := json.Marshal(object)
		if err != nil {
			return err
		}
		c.spec.Workload = append(c.spec.Workload, text)
	}
	if err := errors.Join(c.applyAll(ctx), c.dialPods(ctx)); err != nil {
		return err
	}
	all, checking := errgroup.WithContext(ctx)
	for place, conn := range c.conns {
		all.Go(func() error {
			if err := k.reaches(checking, conn); err != nil {
				return fmt.Errorf("%s cannot reach a Service by name: %w", place, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// reaches waits until a pod has reached the Service several times in a row.
func (k *Kind) reaches(ctx context.Context, conn *agent.Conn) error {
	good := 0
	return k.cluster.WaitFor(ctx, limits.Reach, func(ctx context.Context) (string, error) {
		if _, err := netconf.Reach.Call(ctx, conn, checkName+".default.svc.cluster.local:80", nil); err != nil {
			good = 0
			return "", err
		}
		good++
		if good < serveTimes {
			return fmt.Sprintf("it worked %d times in a row, not %d", good, serveTimes), nil
		}
		return "", nil
	})
}

// sweep deletes the workload that a dead run left on a kept cluster, and restores the other objects that the run changed.
func (k *Kind) sweep(ctx context.Context) error {
	return errors.Join(k.takeAway(ctx, kubeobjects.RunLabel), k.restoreFormers(ctx))
}

// takeAway deletes all objects that have a label, and returns when they are gone, and what others made of them too. All kinds are listed only
// before and after: the API server is slow to do that, and other lanes need it.
func (k *Kind) takeAway(ctx context.Context, selector string) error {
	for {
		left, err := k.objects.Labelled(ctx, selector)
		if err != nil || len(left) == 0 {
			return err
		}
		for _, one := range left {
			if !one.Owned { // what is goes with its owner
				if err := one.Remove(ctx); err != nil {
					return err
				}
			}
		}
		err = k.cluster.WaitFor(ctx, limits.ObjectsGone, func(ctx context.Context) (string, error) {
			for i, one := range left {
				if gone, err := one.Gone(ctx); err != nil || !gone {
					left = left[i:] // those before it are gone
					return fmt.Sprintf("%s still exists", one), err
				}
			}
			return "", nil
		})
		if err != nil {
			return err
		}
	}
}

// checkImages refuses images that nobody could have: those of the machine's programs are checked as in the lab, all others belong to the
// nodes or to a registry.
func checkImages(object []byte) []error {
	var head metav1.PartialObjectMetadata
	spec, err := podtemplate.Spec(object)
	if err != nil || spec == nil || json.Unmarshal(object, &head) != nil {
		return nil // said elsewhere
	}
	path, _ := podtemplate.Path(head.APIVersion, head.Kind)
	at := strings.Join(append(path, "spec", "containers"), ".")
	var errs []error
	for i, c := range spec.Containers {
		var err error
		if images.Known(c.Image) {
			err = images.Check(c)
		} else if _, parseErr := registry.ParseReference(c.Image); parseErr != nil {
			err = fmt.Errorf("image: %w", parseErr)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %s[%d].%w", head.Kind, head.Name, at, i, err))
		}
	}
	return errs
}
