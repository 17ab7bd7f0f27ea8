// Command relapse-coredns is CoreDNS with the plugins that clusters use. With --api it also serves, to its own plugin
// `kubernetes`, a stand-in for the Kubernetes API with the states that it reads from standard input (see package state).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coredns/caddy"

	"github.com/relapse-k8s/relapse/clusters/lab/components/apistub"
	"github.com/relapse-k8s/relapse/clusters/lab/components/state"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// Whatever a library prints is log; standard output is for reports alone.
	reports := os.Stdout
	os.Stdout = os.Stderr
	// Returning ends the process without CoreDNS' own shutdown, which would stay for `health`'s lameduck time.
	if err := run(ctx, os.Args[1:], os.Stdin, reports); err != nil {
		fmt.Fprintln(os.Stderr, "relapse-coredns:", err)
		os.Exit(1)
	}
}

// run serves until the input ends or ctx does.
func run(ctx context.Context, args []string, input io.Reader, output io.Writer) error {
	flags := flag.NewFlagSet("relapse-coredns", flag.ContinueOnError)
	conf := flags.String("conf", "Corefile", "the Corefile")
	api := flags.String("api", "", "serve the stand-in for the Kubernetes API on this `address`, for a Corefile that says `endpoint http://ADDRESS`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	log.SetFlags(0) // as CoreDNS logs

	caddy.RegisterCaddyfileLoader("relapse", loadCorefile(*conf))
	corefile, err := caddy.LoadCaddyfile(serverType)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{
		corefile: corefile,
		lines:    state.Follow(ctx, input),
		reporter: state.NewReporter(output),
		started:  make(chan error, 1),
	}
	if *api == "" {
		return s.serveAlone(ctx)
	}
	if s.needWatcher, err = usesKubernetes(corefile); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *api)
	if err != nil {
		return fmt.Errorf("stand-in for the Kubernetes API: %w", err)
	}
	s.stub = apistub.New()
	go func() { _ = http.Serve(listener, s.stub.Handler()) }() // ends with the process
	return s.serveStates(ctx)
}

// server is one CoreDNS and what feeds it.
type server struct {
	corefile    caddy.Input
	lines       <-chan state.Line
	reporter    *state.Reporter
	started     chan error // CoreDNS listens, or never will
	stub        *apistub.Stub
	needWatcher bool
}

func (s *server) start() {
	go func() { s.started <- startServers(s.corefile) }()
}

// serveAlone is CoreDNS without a cluster.
func (s *server) serveAlone(ctx context.Context) error {
	s.start()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, open := <-s.lines:
			if !open {
				return nil
			}
			if err := s.refuse(line, fmt.Errorf("a state is of no use without --api")); err != nil {
				return err
			}
		case err := <-s.started:
			if err == nil {
				err = s.reporter.Synced(0, 0)
			}
			if err != nil {
				return err
			}
		}
	}
}

// serveStates starts CoreDNS with the first state, so that it never answers from an empty cluster.
func (s *server) serveStates(ctx context.Context) error {
	var listening, loaded bool
	var waiting []int64 // revisions that came while CoreDNS was starting
	synced, failed := make(chan int64, 1024), make(chan error, 1)
	go func() { failed <- s.reportSynced(ctx, synced) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case line, open := <-s.lines:
			if !open {
				return nil
			}
			if line.Err != nil {
				if err := s.refuse(line, line.Err); err != nil {
					return err
				}
				continue
			}
			s.stub.Update(line.State)
			if !loaded {
				loaded = true
				s.start()
			}
			if listening {
				synced <- line.State.Revision
			} else {
				waiting = append(waiting, line.State.Revision)
			}
		case err := <-s.started:
			if err != nil {
				return err
			}
			listening = true
			for _, revision := range waiting {
				synced <- revision
			}
		}
	}
}

// sendLimit is far more than sending a state over the loopback takes; past it something is broken.
const sendLimit = 10 * time.Second

// reportSynced reports revisions in their order, each when every watcher has been sent it.
func (s *server) reportSynced(ctx context.Context, revisions <-chan int64) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case revision := <-revisions:
			limited, cancel := context.WithTimeout(ctx, sendLimit)
			err := s.stub.AwaitSent(limited, revision, s.needWatcher)
			cancel()
			switch {
			case ctx.Err() != nil:
				return nil //nolint:nilerr // the program ends, so nobody waits for the report
			case err != nil:
				err = s.reporter.Failed(revision, fmt.Errorf("CoreDNS did not take it from the stand-in for the Kubernetes API within %s", sendLimit))
			default:
				err = s.reporter.Synced(revision, 0)
			}
			if err != nil {
				return err
			}
		}
	}
}

// refuse reports a line that changes nothing.
func (s *server) refuse(line state.Line, why error) error {
	var revision int64
	if line.State != nil {
		revision = line.State.Revision
	}
	return s.reporter.Failed(revision, why)
}
