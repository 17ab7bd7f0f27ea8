// Package probes samples what a user of a cluster would notice, attempt by attempt. A probe is one file and one line of the
// catalogue; the fields of its struct are its settings, and their comments are the schema's.
package probes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/harness/agent"
)

// Catalogue lists every probe by the name that scenarios use.
var Catalogue = map[string]func() any{
	"connect":  func() any { return &Connect{} },
	"datagram": func() any { return &Datagram{} },
	"download": func() any { return &Download{} },
	"echo":     func() any { return &Echo{} },
	"http":     func() any { return &HTTP{} },
	"lookup":   func() any { return &Lookup{} },
}

// Probe makes attempts. It may keep state from attempt to attempt, such as a connection.
type Probe interface {
	// Attempt tries once. Number is the attempt's own: attempts of probes that run side by side have the same numbers. Attempts
	// may run at the same time.
	Attempt(ctx context.Context, number int) (Outcome, error)
	// Close ends what the probe keeps.
	Close() error
}

// Outcome is what an attempt saw.
type Outcome struct {
	// Seen is that in a few words.
	Seen string
	// Took is how long the part took that counts, or 0 for the whole attempt.
	Took time.Duration
}

// Series is a probe that wants to know when a series of attempts begins and ends.
type Series interface {
	// Begin prepares the namespace, and returns how to leave it as it was.
	Begin() (end func() error, err error)
}

// Renewable is a probe that keeps something from attempt to attempt, of which a program that is started again has nothing.
type Renewable interface {
	Probe
	// Renewed is a probe with the same settings that keeps nothing yet.
	Renewed() Probe
}

// Opening says which probe to open, and by which id it is then sampled.
type Opening struct {
	ID, Name string
	Config   json.RawMessage
}

// Sampling is a series of attempts.
type Sampling struct {
	ID string
	// First is the number of the first attempt; each has the next one.
	First int
	// Attempts to make; 0 goes on until cancelled.
	Attempts int
	// Every is the time from start to start, Timeout that of an attempt.
	Every, Timeout time.Duration
}

// Sample is one attempt.
type Sample struct {
	Start time.Time
	Took  time.Duration
	Seen  string
	Error string
}

// Operations on probes. Cancelling SampleProbe starts no more attempts, and waits for those under way.
var (
	OpenProbe   = agent.Op[Opening, agent.None, agent.None]{Name: "probe/open"}
	SampleProbe = agent.Op[Sampling, Sample, int]{Name: "probe/sample"}
)

// Server runs the probes of an agent.
type Server struct {
	mu   sync.Mutex
	open map[string]Probe
}

// Register adds the operations.
func (s *Server) Register(ops map[string]agent.Handler) {
	s.open = map[string]Probe{}
	OpenProbe.Handle(ops, func(_ context.Context, o Opening, _ func(agent.None)) (agent.None, error) {
		return agent.None{}, s.openProbe(o)
	})
	SampleProbe.Handle(ops, s.sample)
}

func (s *Server) openProbe(o Opening) error {
	create, ok := Catalogue[o.Name]
	if !ok {
		return fmt.Errorf("this agent knows no probe %s", o.Name)
	}
	probe := create().(Probe)
	if err := json.Unmarshal(o.Config, probe); err != nil {
		return fmt.Errorf("probe %s: %w", o.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.open[o.ID]; ok {
		_ = old.Close()
	}
	s.open[o.ID] = probe
	return nil
}

// Renew lets a probe go on as a client that was started again: without what it kept until now, such as its socket. The client as it
// was is only put aside: back lets it go on, as if nothing had been.
func (s *Server) Renew(id string) (back func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	former, ok := s.open[id]
	if !ok {
		return nil, fmt.Errorf("no probe %s is open here", id)
	}
	renewable, ok := former.(Renewable)
	if !ok {
		return nil, fmt.Errorf("probe %s keeps nothing from attempt to attempt", id)
	}
	renewed := renewable.Renewed()
	s.open[id] = renewed
	return func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[id] = former
		return renewed.Close()
	}, nil
}

func (s *Server) sample(ctx context.Context, r Sampling, emit func(Sample)) (made int, err error) {
	s.mu.Lock()
	probe, ok := s.open[r.ID]
	s.mu.Unlock()
	if !ok {
		return 0, fmt.Errorf("no probe %s is open here", r.ID)
	}
	if series, ok := probe.(Series); ok {
		end, err := series.Begin()
		if err != nil {
			return 0, fmt.Errorf("probe %s: %w", r.ID, err)
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	// An attempt that has begun is finished even when the series is cancelled, because its end is what matters.
	finishing := agent.UntilBroken(ctx)
	var attempts sync.WaitGroup
	defer attempts.Wait()
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for {
		number := r.First + made
		attempts.Go(func() { emit(attempt(finishing, probe, number, r.Timeout)) })
		made++
		if made == r.Attempts {
			return made, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return made, nil
		}
	}
}

func attempt(ctx context.Context, probe Probe, number int, timeout time.Duration) Sample {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sample := Sample{Start: time.Now()}
	outcome, err := probe.Attempt(ctx, number)
	sample.Took = cmp.Or(outcome.Took, time.Since(sample.Start))
	sample.Seen = outcome.Seen
	if err != nil {
		sample.Error = err.Error()
	}
	return sample
}

// hostPort checks the form of an address.
func hostPort(address string) error {
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return fmt.Errorf("%q is not host:port, such as web:80", address)
	}
	return nil
}
