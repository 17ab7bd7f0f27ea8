// Command relapse-agent acts in one namespace: a node's, a pod's or the host's. A cluster has many agents, so the program has few
// dependencies and starts in milliseconds.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	_ "github.com/relapse-k8s/relapse/clusters/agent/containers" // the guard undoes what a cluster has in a container engine
	"github.com/relapse-k8s/relapse/clusters/agent/onkind/contain"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
	"github.com/relapse-k8s/relapse/clusters/agent/sbin"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

const usage = `relapse-agent acts in one namespace. It is started by relapse, not by hand.

Agents, which take requests on standard input and answer on standard output:

  relapse-agent sandbox LOGS HOME
                               agent of a node or pod of the lab; HOME is JSON
  relapse-agent restrict PATH ARGV...
                               what that agent starts: it gives up its rights
                               and becomes a pod's program
  relapse-agent wiring         agent of the network between the lab's nodes
  relapse-agent host RUN       agent of the machine itself, and the run's guard:
                               it undoes all changes when standard input ends

Programs of pods and probes:

  relapse-agent lookup NAME [ipv4 | "" [go]]
                               print as JSON the addresses (with ipv4: only IPv4)
                               that the C library (with go: Go's own resolver)
                               finds for a name, and its time
  relapse-agent server ADDRESS [udp [silent]] [delay=DURATION] [LISTEN]
                               echo what is sent over TCP, with delay late, with
                               udp also datagrams; with silent, datagrams get no
                               answer
  relapse-agent http ADDRESS [idle-timeout=DURATION] [max-age=DURATION]
                     [work=DURATION [queue=N]] [h2c] [LISTEN]
                               HTTP server; /bytes?n=N answers with N bytes. The
                               header X-Served-By is the pod's name; max-age
                               limits the age of a connection; with work, it
                               works so long on a request, on one at a time, and
                               answers 503 while N wait
                               LISTEN is backlog=N, how many connections may
                               wait, and accept-every=DURATION, the time from
                               one accepted connection to the next
  relapse-agent pause          do nothing

On the nodes of a real cluster, in a container that sees all processes of its node:

  relapse-agent node RUN PLACE agent of the node
  relapse-agent pod CONTAINER RUN PLACE
                               agent of the pod that has the container with this id
  relapse-agent keep           undo the changes of agents that were killed
  relapse-agent undo JOURNAL   undo one journal; started by keep
  relapse-agent contain NAME [command=N] [copy=FROM:TO]... -- PROGRAM [ARGUMENT]...
                               run a container's program, and restart it when
                               the pod's agent asks for it
`

func main() {
	// SIGPIPE must not end the agent before it has undone its changes.
	signal.Ignore(syscall.SIGPIPE)
	err := sbin.AddToPath()
	if err == nil {
		err = run(context.Background(), os.Args[1:])
	}
	var status contain.Exit
	switch {
	case errors.As(err, &status):
		os.Exit(int(status))
	case err != nil:
		fmt.Fprintln(os.Stderr, "relapse-agent:", err)
		os.Exit(1)
	}
}

// commands maps a command's name to its function, which gets the arguments after the name.
var commands = map[string]func(ctx context.Context, args []string) error{
	"sandbox":  enterSandbox,
	"restrict": restrict,
	"wiring":   wiring,
	"host":     func(ctx context.Context, args []string) error { return host(ctx, first(args)) },
	"keep":     keep,
	"node":     node,
	"pod":      pod,
	"undo":     undoJournal,
	"contain":  containProgram,
	"lookup":   func(ctx context.Context, args []string) error { return lookUp(ctx, args, lookUpNow) },
	"lookup-when-told": func(ctx context.Context, args []string) error {
		return lookUp(ctx, args, func(ctx context.Context, name, family, resolver string) (probes.Answer, error) {
			return probes.LookUpWhenTold(ctx, os.Stdin, os.Stdout, name, family, resolver)
		})
	},
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
		return fmt.Errorf("unknown command %q", first(args))
	}
	return command(ctx, args[1:])
}

// first returns the first argument, or an empty string.
func first(args []string) string { return strings.Join(args[:min(1, len(args))], "") }

func wiring(ctx context.Context, _ []string) error {
	if err := sandbox.OwnProc(); err != nil {
		return err
	}
	return serve(ctx, &undo.Stack{}, program.NewManager())
}

func lookUpNow(ctx context.Context, name, family, resolver string) (probes.Answer, error) {
	return probes.LookUp(ctx, name, family, resolver), nil
}

// lookUp prints what a lookup finds, as JSON. An attempt of a lookup probe is such a process.
func lookUp(ctx context.Context, args []string, look func(ctx context.Context, name, family, resolver string) (probes.Answer, error)) error {
	args = append(args, "", "", "")
	answer, err := look(ctx, args[0], args[1], args[2])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}
