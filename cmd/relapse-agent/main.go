// Command relapse-agent acts in one namespace: a node's, a pod's or the host's. It has few dependencies and starts in
// milliseconds, because a cluster has many of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/relapse-k8s/relapse/clusters/kind/contain"
	"github.com/relapse-k8s/relapse/harness/probes"
	"github.com/relapse-k8s/relapse/harness/undo"
)

const usage = `relapse-agent acts in one namespace; the relapse command starts it.

  relapse-agent sandbox HOME   serve a node or pod of the lab on standard input and output; HOME is JSON
  relapse-agent wiring         serve the network between the lab's nodes
  relapse-agent host RUN       serve the machine itself, and put it in order when the stream breaks
  relapse-agent lookup NAME    print the addresses that the C library finds for a name; with ipv4 behind it those only
  relapse-agent server ADDRESS [udp [silent]]
                               the program of a pod that sends back what it gets over TCP, and with udp every datagram; with
                               silent behind it, it reads them and sends nothing
  relapse-agent http ADDRESS [idle-timeout=DURATION] [h2c]
                               the program of a pod that answers HTTP requests, /bytes?n=N with N bytes
  relapse-agent pause          the program of a pod that does nothing

On the nodes of a real cluster, in a container that sees all processes of its node:

  relapse-agent keep           undo what agents have left that were killed
  relapse-agent node RUN PLACE serve the node on standard input and output
  relapse-agent pod CONTAINER RUN PLACE
                               the same for the pod of a container, which is known by its id
  relapse-agent undo JOURNAL   undo one journal; keep does so
  relapse-agent contain NAME [command=N] [copy=FROM:TO]... -- PROGRAM [ARGUMENT]...
                               run a container's program, and start it again when the pod's agent asks for it
`

func main() {
	// An answer that nobody reads any more must not end the agent before it has undone what it did.
	signal.Ignore(syscall.SIGPIPE)
	err := run(context.Background(), os.Args[1:])
	var status contain.Exit
	switch {
	case errors.As(err, &status):
		os.Exit(int(status))
	case err != nil:
		fmt.Fprintln(os.Stderr, "relapse-agent:", err)
		os.Exit(1)
	}
}

// commands by their names, with the words behind them.
var commands = map[string]func(ctx context.Context, args []string) error{
	"sandbox": enterSandbox,
	"wiring":  func(ctx context.Context, _ []string) error { return serve(ctx, &undo.Stack{}) },
	"host":    func(ctx context.Context, args []string) error { return host(ctx, first(args)) },
	"keep":    keep,
	"node":    node,
	"pod":     pod,
	"undo":    undoJournal,
	"contain": containProgram,
	"lookup":  lookUp,
	"server": func(ctx context.Context, args []string) error {
		server, err := parseServer(args)
		if err != nil {
			return err
		}
		return server.serve(ctx)
	},
	"http": func(ctx context.Context, args []string) error {
		server, err := parseHTTP(args)
		if err != nil {
			return err
		}
		return server.serve(ctx)
	},
	"pause": func(ctx context.Context, _ []string) error {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		<-ctx.Done()
		return nil
	},
}

func run(ctx context.Context, args []string) error {
	command, ok := commands[first(args)]
	if !ok {
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("no such command: %q", first(args))
	}
	return command(ctx, args[1:])
}

// first is the first word, or nothing.
func first(args []string) string { return strings.Join(args[:min(1, len(args))], "") }

// lookUp is the process of a lookup probe's attempt.
func lookUp(ctx context.Context, args []string) error {
	addresses, err := probes.LookUp(ctx, first(args), strings.Join(args[min(1, len(args)):], ""))
	if err == nil {
		fmt.Println(addresses)
	}
	return err
}
