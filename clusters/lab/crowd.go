package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/relapse-k8s/relapse/clusters"
)

// crowdFirst is the address of the first Service of a crowd.
var crowdFirst = netip.MustParseAddr("10.100.0.1")

// Crowd is what SetCrowd was last told.
func (c *cluster) Crowd() clusters.Crowd {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crowd
}

// SetCrowd makes many Services, in place of those of the former crowd.
func (c *cluster) SetCrowd(ctx context.Context, crowd clusters.Crowd) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	services, err := c.crowdOf(crowd)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.crowd, c.crowded = crowd, services
	c.mu.Unlock()
	return c.tell(ctx)
}

// crowdOf makes the objects of a crowd.
func (c *cluster) crowdOf(crowd clusters.Crowd) ([]*corev1.Service, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	services := make([]*corev1.Service, 0, crowd.Count)
	for ip := crowdFirst; len(services) < crowd.Count; ip = ip.Next() {
		if c.addresses.used[ip.String()] {
			return nil, fmt.Errorf("address %s of many Services is taken by another", ip)
		}
		s := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("many-%d", len(services)+1), Namespace: metav1.NamespaceDefault},
			Spec: corev1.ServiceSpec{
				ClusterIP: ip.String(), ClusterIPs: []string{ip.String()}, Selector: crowd.Selector,
				Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}},
			},
		}
		if crowd.Headless {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = corev1.ClusterIPNone, []string{corev1.ClusterIPNone}
		}
		services = append(services, s)
	}
	return services, nil
}

// withCrowd is the state that is told to kube-proxy: that of all, as a line, with the crowd. It is called with the mutex held.
func (c *cluster) withCrowd(all []byte) ([]byte, error) {
	if len(c.crowded) == 0 {
		return all, nil
	}
	state := c.state
	state.Services = slices.Concat(state.Services, c.crowded)
	state.EndpointSlices = slices.Clone(state.EndpointSlices)
	for _, s := range c.crowded {
		state.EndpointSlices = append(state.EndpointSlices, endpoints(s, c.work.pods))
	}
	return json.Marshal(state)
}
