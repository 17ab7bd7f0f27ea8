// Package apistub is a read-only stand-in for the Kubernetes API server: list and watch of what CoreDNS reads, fed with
// whole states. It answers in JSON whatever encoding was asked for, which client-go goes by.
package apistub

import (
	"context"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/relapse-k8s/relapse/clusters/lab/components/state"
)

// Stub holds the cluster's objects and every watcher on them. Until the first Update, requests wait.
type Stub struct {
	mu sync.Mutex
	// news is closed and replaced at every change of what is below, to wake those who wait.
	news chan struct{}

	last            state.State
	loaded          bool
	revision        int64
	resourceVersion int64
	collections     map[string]*collection
	watches         map[*watch]struct{}
}

// New has no objects and no state yet.
func New() *Stub {
	discovery := discoveryv1.SchemeGroupVersion
	return &Stub{
		news: make(chan struct{}),
		collections: map[string]*collection{
			"/api/v1/services":   newCollection(corev1.SchemeGroupVersion, "Service"),
			"/api/v1/namespaces": newCollection(corev1.SchemeGroupVersion, "Namespace"),
			"/api/v1/pods":       newCollection(corev1.SchemeGroupVersion, "Pod"),
			"/apis/" + discovery.String() + "/endpointslices": newCollection(discovery, "EndpointSlice"),
		},
		watches: map[*watch]struct{}{},
	}
}

// Handler serves the API.
func (s *Stub) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, c := range s.collections {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, c) })
	}
	mux.HandleFunc("/", notFound)
	return mux
}

// Update makes next the state that is served, and sends every watcher what is different.
func (s *Stub) Update(next *state.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record(s, "/api/v1/services", state.Diff(s.last.Services, next.Services))
	record(s, "/api/v1/namespaces", state.Diff(s.last.Namespaces, next.Namespaces))
	record(s, "/api/v1/pods", state.Diff(s.last.Pods, next.Pods))
	record(s, "/apis/discovery.k8s.io/v1/endpointslices", state.Diff(s.last.EndpointSlices, next.EndpointSlices))
	s.last, s.loaded, s.revision = *next, true, next.Revision
	s.wake()
}

func record[T state.Object](s *Stub, path string, changes []state.Change[T]) {
	c := s.collections[path]
	for _, change := range changes {
		s.resourceVersion++
		var before, after state.Object
		if !change.Added() {
			before = change.Old
		}
		if !change.Deleted() {
			after = change.New
		}
		c.record(before, after, s.resourceVersion)
	}
}

// AwaitSent waits until every watcher has been sent what revision changed, and at least one watches Services if
// needWatcher.
func (s *Stub) AwaitSent(ctx context.Context, revision int64, needWatcher bool) error {
	return s.await(ctx, func() bool {
		if s.revision < revision {
			return false
		}
		watched := false
		for w := range s.watches {
			if w.sent < s.resourceVersion {
				return false
			}
			watched = watched || w.of.kind == "Service"
		}
		return watched || !needWatcher
	})
}

// await waits for a condition, which is looked at under the lock.
func (s *Stub) await(ctx context.Context, met func() bool) error {
	for {
		s.mu.Lock()
		done, news := met(), s.news
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wake must be called under the lock.
func (s *Stub) wake() {
	close(s.news)
	s.news = make(chan struct{})
}

func newCollection(gv schema.GroupVersion, kind string) *collection {
	return &collection{apiVersion: gv, kind: kind, objects: map[string]state.Object{}}
}
