package main

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/lab/components/state"
)

// syncer brings states to the proxier as kube-proxy's informers would, and has it sync.
type syncer struct {
	node   *node
	errors *loggedErrors

	last     state.State
	topology map[string]string
	started  bool
}

// apply tells the proxier what changed. Nothing is programmed yet: the proxier's own loop is not running, so that one
// state makes one transaction.
func (s *syncer) apply(next *state.State) {
	proxier := s.node.proxier
	for _, c := range state.Diff(s.last.Services, next.Services) {
		switch {
		case c.Added():
			proxier.OnServiceAdd(c.New)
		case c.Deleted():
			proxier.OnServiceDelete(c.Old)
		default:
			proxier.OnServiceUpdate(c.Old, c.New)
		}
	}
	for _, c := range state.Diff(s.last.EndpointSlices, next.EndpointSlices) {
		switch {
		case c.Added():
			proxier.OnEndpointSliceAdd(c.New)
		case c.Deleted():
			proxier.OnEndpointSliceDelete(c.Old)
		default:
			proxier.OnEndpointSliceUpdate(c.Old, c.New)
		}
	}
	s.applyTopology(next.Nodes)
	s.last = *next
}

// applyTopology passes on the one label of its own node that kube-proxy looks at.
func (s *syncer) applyTopology(nodes []*corev1.Node) {
	for _, node := range nodes {
		if node.Name != s.node.name {
			continue
		}
		topology := map[string]string{}
		if zone, ok := node.Labels[corev1.LabelTopologyZone]; ok {
			topology[corev1.LabelTopologyZone] = zone
		}
		if !maps.Equal(s.topology, topology) {
			s.topology = topology
			s.node.proxier.OnTopologyChange(topology)
		}
	}
}

// sync programs the kernel and returns how long that took. The two calls below sync in this goroutine (Sync() would only
// wake a loop), but return nothing; the health server knows whether it was a success, the log why it was none.
func (s *syncer) sync() (seconds float64, err error) {
	s.errors.reset()
	start := time.Now()
	if !s.started {
		s.started = true
		s.node.proxier.OnEndpointSlicesSynced()
	}
	s.node.proxier.OnServiceSynced()
	if s.lastSuccess().Before(start) {
		return 0, fmt.Errorf("kube-proxy's sync failed: %w", s.errors.joined())
	}
	return time.Since(start).Seconds(), nil
}

func (s *syncer) lastSuccess() time.Time {
	return s.node.health.Health().Status[corev1.IPv4Protocol].LastUpdated
}
