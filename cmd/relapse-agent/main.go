// Command relapse-agent acts in one namespace: a node's, a pod's or the host's. It has few dependencies and starts in
// milliseconds, because a cluster has many of them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/relapse-k8s/relapse/clusters/lab/netconf"
	"github.com/relapse-k8s/relapse/clusters/lab/policy/enforce"
	"github.com/relapse-k8s/relapse/clusters/lab/sandbox"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/guard"
	"github.com/relapse-k8s/relapse/harness/probes"
	"github.com/relapse-k8s/relapse/harness/program"
	"github.com/relapse-k8s/relapse/harness/readers"
	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/undo"
)

const usage = `relapse-agent acts in one namespace; the relapse command starts it.

  relapse-agent sandbox HOME   serve a node or pod of the lab on standard input and output; HOME is JSON
  relapse-agent wiring         serve the network between the lab's nodes
  relapse-agent host RUN       serve the machine itself, and put it in order when the stream breaks
  relapse-agent lookup NAME    print the addresses that the C library finds for a name; with ipv4 behind it those only
  relapse-agent server ADDRESS the program of a pod that sends back every line it gets over TCP
  relapse-agent http ADDRESS [idle-timeout=DURATION] [h2c]
                               the program of a pod that answers HTTP requests, /bytes?n=N with N bytes
  relapse-agent pause          the program of a pod that does nothing
`

func main() {
	// An answer that nobody reads any more must not end the agent before it has undone what it did.
	signal.Ignore(syscall.SIGPIPE)
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "relapse-agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	command, argument := "", ""
	if len(args) > 0 {
		command = args[0]
	}
	if len(args) > 1 {
		argument = args[1]
	}
	switch command {
	case "sandbox":
		var home sandbox.Home
		if err := json.Unmarshal([]byte(argument), &home); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		if err := home.Enter(); err != nil {
			return fmt.Errorf("sandbox %s: %w", home.Hostname, err)
		}
		return serve(ctx, &undo.Stack{})
	case "wiring":
		return serve(ctx, &undo.Stack{})
	case "host":
		return host(ctx, argument)
	case "lookup":
		addresses, err := probes.LookUp(ctx, argument, strings.Join(args[min(2, len(args)):], ""))
		if err == nil {
			fmt.Println(addresses)
		}
		return err
	case "server":
		return serveEcho(ctx, argument)
	case "http":
		server, err := parseHTTP(args[1:])
		if err != nil {
			return err
		}
		return server.serve(ctx)
	case "pause":
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		<-ctx.Done()
		return nil
	}
	fmt.Fprint(os.Stderr, usage)
	return fmt.Errorf("no such command: %q", command)
}

// serve answers requests until the stream ends, and then undoes all that was done.
func serve(ctx context.Context, stack *undo.Stack) error {
	err := agent.Serve(ctx, os.Stdin, os.Stdout, operations(stack))
	if undoErr := stack.Close(ctx); undoErr != nil {
		return undoErr
	}
	return err
}

// host is the guard too: it outlives the harness, whatever becomes of that.
func host(ctx context.Context, id string) error {
	// What a terminal sends goes to the harness as well, which ends the stream; that is what counts.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	run, err := runstate.Join(id)
	if err != nil {
		return err
	}
	journal, err := undo.OpenJournal(run.Journal())
	if err != nil {
		return err
	}
	stack := &undo.Stack{Journal: journal}
	ops := operations(stack)
	guard.Register(ops, stack)
	serveErr := agent.Serve(ctx, os.Stdin, os.Stdout, ops)
	if err := runstate.Afterlife(ctx, stack, run); err != nil {
		return err
	}
	return serveErr
}

func operations(stack *undo.Stack) map[string]agent.Handler {
	ops := map[string]agent.Handler{}
	programs := program.NewManager()
	programs.Register(ops)
	(&faults.Server{Stack: stack, Programs: programs}).Register(ops)
	(&probes.Server{}).Register(ops)
	readers.Register(ops, map[string]readers.Reader{"policy": enforce.Readings})
	(&enforce.Enforcer{}).Register(ops)
	readers.RunCommand.Handle(ops, readers.HandleCommand)
	readers.Capture.Handle(ops, readers.HandleCapture)
	readers.FollowKernelLog.Handle(ops, readers.HandleKernelLog)
	netconf.Configure.Handle(ops, netconf.HandleConfigure)
	netconf.Connect.Handle(ops, netconf.HandleConnect)
	netconf.Reach.Handle(ops, netconf.HandleReach)
	netconf.ProbeOffers.Handle(ops, netconf.HandleProbeOffers)
	readers.TakeFingerprint.Handle(ops, readers.HandleFingerprint)
	readers.ReadNetns.Handle(ops, readers.HandleNetns)
	return ops
}
