package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// AddressUser is a change that must know the addresses of some pods, or their links on their nodes.
type AddressUser interface {
	// NeedsAddresses names the pods, or other places: node-of/POD.
	NeedsAddresses() []string
}

// Scope is the part of the undo list that belongs to one step, as undo.Scope is in an agent: it is undone last first and past errors. At and
// Object write down how to undo what they do before they do it; for all else there is PushFunc.
type Scope struct {
	Cluster clusters.Cluster

	site *Site
	id   string
	undo *undo.Scope
}

// PushFunc writes down how to undo what is about to be done, and what that is, as in: delete Service web. If it fails, nothing may be done.
func (s *Scope) PushFunc(what string, undo func(context.Context) error) error {
	return s.undo.PushFunc(what, undo)
}

// Unique returns a name for an object outside of the default namespace, which the clusters of other lanes may have too.
func (s *Scope) Unique(name string) string {
	if part, ok := s.Cluster.(clusters.Part); ok {
		return part.Unique(name)
	}
	return name
}

// At makes a change at places, at all of them at once. A step makes at most one change at a place.
func (s *Scope) At(ctx context.Context, places []string, name string, config any) error {
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	request := changes.Request{ID: s.id, Name: name, Config: text, Run: s.site.Run}
	if request.Addresses, request.Ports, err = s.pods(ctx, config); err != nil {
		return err
	}
	if err := s.PushFunc("undo "+name, func(ctx context.Context) error {
		return s.site.each(places, func(conn *agent.Conn) error {
			_, err := changes.Undo.Call(ctx, conn, s.id, nil)
			if errors.Is(err, agent.ErrGone) && conn != s.site.Host {
				return nil // an agent whose stream ends undoes all that it did; of one that was killed, its node's keeper does soon
			}
			return err
		})
	}); err != nil {
		return err
	}
	return s.site.each(places, func(conn *agent.Conn) error {
		here := request
		here.Place = conn.Name()
		_, err := changes.Apply.Call(ctx, conn, here, nil)
		return err
	})
}

// pods asks the pods that a change names for their addresses, and for their links on their nodes.
func (s *Scope) pods(ctx context.Context, config any) (addresses map[string]netip.Addr, ports map[string]int, err error) {
	user, ok := config.(AddressUser)
	if !ok {
		return nil, nil, nil
	}
	addresses, ports = map[string]netip.Addr{}, map[string]int{}
	for _, pod := range user.NeedsAddresses() {
		place := pod
		if !strings.Contains(pod, "/") {
			place = "pod/" + pod
		}
		found, err := s.site.Find(ctx, place)
		if err != nil {
			return nil, nil, err
		}
		addresses[pod], ports[pod] = found.Address, found.Port
	}
	return addresses, ports, nil
}

// Object creates or replaces a Kubernetes object with one of the cluster's methods. Undone, it is deleted, or the one that it replaced is
// restored.
func (s *Scope) Object(ctx context.Context, object []byte, apply func(context.Context, []byte) error) error {
	var head scenario.ObjectHead
	if err := json.Unmarshal(object, &head); err != nil {
		return err
	}
	restore, err := s.Cluster.Keep(ctx, head.Kind, head.Metadata.Namespace, head.Metadata.Name)
	if err != nil {
		return err // without it nothing could be restored
	}
	if err := s.PushFunc(fmt.Sprintf("restore %s %s", head.Kind, head.Metadata.Name), restore); err != nil {
		return err
	}
	return apply(ctx, object)
}

// Read asks a change at places for its readings, by place.
func (s *Scope) Read(ctx context.Context, places []string) (map[string]map[string]float64, error) {
	return ask(ctx, s, places, changes.Read)
}

// ask asks a change at places for something, by place.
func ask[T any](ctx context.Context, s *Scope, places []string, op agent.Op[string, agent.None, T]) (map[string]T, error) {
	var mu sync.Mutex
	answers := map[string]T{}
	err := s.site.each(places, func(conn *agent.Conn) error {
		answer, err := op.Call(ctx, conn, s.id, nil)
		mu.Lock()
		defer mu.Unlock()
		answers[conn.Name()] = answer
		return err
	})
	return answers, err
}
