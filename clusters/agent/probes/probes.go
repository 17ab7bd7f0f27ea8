// Package probes samples what a user of a cluster would notice, attempt by attempt. A probe is one file and one line of the catalogue.
// The fields of its struct are its settings, and their comments become the schema.
package probes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// Catalogue lists every probe by the name that scenarios use.
var Catalogue = map[string]func() any{
	"connect":      func() any { return &Connect{} },
	"datagram":     func() any { return &Datagram{} },
	"dns":          func() any { return &DNS{} },
	"download":     func() any { return &Download{} },
	"echo":         func() any { return &Echo{} },
	"first-packet": func() any { return &FirstPacket{} },
	"http":         func() any { return &HTTP{} },
	"lookup":       func() any { return &Lookup{} },
	"session":      func() any { return &Session{} },
}

// Probe makes attempts. It may keep state from attempt to attempt, such as a connection.
type Probe interface {
	// Attempt tries once. Number counts the attempts; probes that run in parallel use the same numbers. Attempts may run at the same time.
	Attempt(ctx context.Context, number int) (Outcome, error)
	// Close releases what the probe keeps.
	Close() error
}

// Outcome is what an attempt saw.
type Outcome struct {
	// Seen is what the attempt saw, in a few words.
	Seen string
	// Took is the time of the part of the attempt that counts, which is its last part, or 0 for the whole attempt.
	Took time.Duration
	// Ports are the first and the last of the source ports that the attempt uses, or 0 if they are not known.
	Ports [2]uint16
	// By is the pod that answered, if it says so.
	By string
}

// from notes the source port of the attempt's only connection.
func (o *Outcome) from(conn net.Conn) {
	if address, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
		o.Ports = [2]uint16{address.Port(), address.Port()}
	}
}

// Preparer is a probe whose attempts begin with what must not count, such as waiting for their turn.
type Preparer interface {
	// Prepare returns the attempt, which must be made.
	Prepare(ctx context.Context, number int) (attempt func(context.Context) (Outcome, error), err error)
}

// prepareLimit is how long the preparation of an attempt may take.
const prepareLimit = time.Minute

// Series is a probe that must know when a series of attempts begins and ends.
type Series interface {
	// Begin prepares the namespace, and returns how to leave it as it was.
	Begin() (end func() error, err error)
}

// Renewable is a probe that keeps state between attempts, which a restarted program would not have.
type Renewable interface {
	Probe
	// Renewed returns a probe with the same settings and no state, or nil if its settings are such that it keeps none.
	Renewed() Probe
	// Port is the source port of the socket that it keeps, or 0 while it has none.
	Port() uint16
}

// Opening says which probe to open, and the id by which it is sampled.
type Opening struct {
	ID, Name string
	Config   json.RawMessage
}

// Sampling is a series of attempts.
type Sampling struct {
	ID string
	// First is the number of the first attempt; each has the next one.
	First int
	// Attempts to make; 0 means until cancelled.
	Attempts int
	// Every is the time between starts of attempts, Timeout the limit of each.
	Every, Timeout time.Duration
}

// Sample is one attempt.
type Sample struct {
	// Start and End are of the whole attempt, Took is the time that counts.
	Start, End time.Time
	Took       time.Duration
	Seen       string
	Error      string
	// Ports are the first and the last of the source ports that the attempt used, or 0.
	Ports [2]uint16
	// By is the pod that answered, if it says so.
	By string
}

// Operations on probes. If SampleProbe is cancelled, it starts no more attempts, and waits for those that have started.
var (
	OpenProbe   = agent.Op[Opening, agent.None, agent.None]{Name: "probe/open"}
	SampleProbe = agent.Op[Sampling, Sample, int]{Name: "probe/sample"}
)

// Server runs the probes of an agent.
type Server struct {
	mu    sync.Mutex
	open  map[string]Probe
	ports freshPorts
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
		return fmt.Errorf("unknown probe %q", o.Name)
	}
	probe := create().(Probe)
	if err := json.Unmarshal(o.Config, probe); err != nil {
		return fmt.Errorf("probe %s: %w", o.ID, err)
	}
	if lookup, ok := probe.(*Lookup); ok {
		lookup.ports = &s.ports
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.open[o.ID]; ok {
		_ = old.Close()
	}
	s.open[o.ID] = probe
	return nil
}

// Renew makes a probe act like a restarted client, without its state so far, such as its socket. The old client is kept, and back
// restores it.
func (s *Server) Renew(id string) (back func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	former, ok := s.open[id]
	if !ok {
		return nil, fmt.Errorf("probe %s is not open here", id)
	}
	renewable, ok := former.(Renewable)
	var renewed Probe
	if ok {
		renewed = renewable.Renewed()
	}
	if renewed == nil {
		return nil, fmt.Errorf("probe %s keeps no state between attempts", id)
	}
	s.open[id] = renewed
	return func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[id] = former
		return renewed.Close()
	}, nil
}

// Port is the source port of the socket that a probe keeps, or 0 while it has none.
func (s *Server) Port(id string) uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if renewable, ok := s.open[id].(Renewable); ok {
		return renewable.Port()
	}
	return 0
}

func (s *Server) sample(ctx context.Context, r Sampling, emit func(Sample)) (made int, err error) {
	s.mu.Lock()
	probe, ok := s.open[r.ID]
	s.mu.Unlock()
	if !ok {
		return 0, fmt.Errorf("probe %s is not open here", r.ID)
	}
	if series, ok := probe.(Series); ok {
		end, err := series.Begin()
		if err != nil {
			return 0, fmt.Errorf("probe %s: %w", r.ID, err)
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	// An attempt that has started is finished even if the series is cancelled, because its result matters.
	finishing := withPorts(agent.UntilBroken(ctx), &s.ports)
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
	try := func(ctx context.Context) (Outcome, error) { return probe.Attempt(ctx, number) }
	if preparer, ok := probe.(Preparer); ok {
		prepared, err := preparer.Prepare(ctx, number)
		if err != nil {
			prepared = func(context.Context) (Outcome, error) { return Outcome{}, err }
		}
		try = prepared
	}
	// One moment for both: an attempt that times out has taken the whole time-out, also if this process is interrupted here.
	sample := Sample{Start: time.Now()}
	ctx, cancel := context.WithDeadline(ctx, sample.Start.Add(timeout))
	defer cancel()
	outcome, err := try(ctx)
	sample.End = time.Now()
	sample.Took = cmp.Or(outcome.Took, sample.End.Sub(sample.Start))
	sample.Seen, sample.Ports, sample.By = short(outcome.Seen), outcome.Ports, short(outcome.By)
	if err != nil {
		sample.Error = short(err.Error())
	}
	return sample
}

// maxText is how many bytes of what an attempt saw, or of its error, are kept: servers of the scenario have a say in both.
const maxText = 500

func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// bound makes what is read from a connection and written to it end with ctx; unbind takes that back for the next attempt.
func bound(ctx context.Context, conn net.Conn) (unbind func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = conn.SetDeadline(time.Now())
	})
	return func() {
		if !stop() {
			<-ended
		}
		_ = conn.SetDeadline(time.Time{})
	}
}

// hostPort checks the form of an address.
func hostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("%q is not host:port, such as web:80", address)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return fmt.Errorf("%q: the port must be a number from 1 to 65535", address)
	}
	return nil
}
