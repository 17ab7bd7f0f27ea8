// Package cli is the relapse command: one small file for each of its commands.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// Exit codes.
const (
	exitPass = iota
	exitFail
	exitUsage
	exitInconclusive
	exitSkipped
)

const exitCodes = `Exit codes:
  0  pass          everything was as the scenario expects
  1  fail          something was not
  2  usage         a wrong command line, or a file with errors
  3  inconclusive  nothing may be concluded: a sick cluster, a fault without
                   effect, a crash, Ctrl-C
  4  skipped       this machine cannot run it`

// coded is an error, or none, with an exit code of its own.
type coded struct {
	code int
	err  error
}

func (c coded) Error() string {
	if c.err == nil {
		return ""
	}
	return c.err.Error()
}

func (c coded) Unwrap() error { return c.err }

func usage(err error) error { return coded{exitUsage, err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// exitCode of an outcome.
func exitCode(o judge.Outcome) int {
	switch o {
	case judge.Pass:
		return exitPass
	case judge.Fail:
		return exitFail
	case judge.Skipped:
		return exitSkipped
	}
	return exitInconclusive
}

// byOutcome is the exit code of an outcome, as an error without a message.
func byOutcome(o judge.Outcome) error {
	if o == judge.Pass {
		return nil
	}
	return coded{exitCode(o), nil}
}

// Main runs the command and returns the exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signals(context.Background())
	defer stop()
	root := newRoot()
	// What goes wrong before a command begins to work is the command line's fault.
	began := false
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitPass
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(errs, "relapse:", text)
	}
	var c coded
	if errors.As(err, &c) {
		return c.code
	}
	if !began {
		return exitUsage
	}
	return exitInconclusive // something broke: that is no verdict on anything
}

// signals ends the context at the first SIGINT or SIGTERM, so that everything is undone. At the second of the same kind the
// process ends at once; the guard puts the machine in order. Of the same kind, because in a user namespace one Ctrl-C
// comes twice: from the terminal, and passed on as SIGTERM by the process outside.
func signals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		seen := map[os.Signal]bool{}
		for s := range caught {
			if seen[s] {
				signal.Reset()
				_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
				return
			}
			seen[s] = true
			cancel(fmt.Errorf("ended by signal: %s", s))
		}
	}()
	return ctx, func() { signal.Stop(caught); cancel(nil) }
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "relapse",
		Short: "Make known Kubernetes network failures come back, and check what is written about them",
		Long: `relapse makes known Kubernetes network failures come back, on purpose, on a
real kernel. It watches the symptom and the documented ways to see it, tries
each documented cure, withdraws it again, and writes a report. Then it puts
everything back, and checks that too.

No cluster and no container engine is needed: scenarios run in a lab of
network namespaces on this machine, as root or in a user namespace.

` + exitCodes,
		Example: `  relapse doctor                        what this machine can and cannot run
  relapse list                          the scenarios
  relapse show dns-5s                   what is known about one
  relapse run dns-5s                    run it, and write a report
  relapse run dns-5s --pause-at fault   hold the failure open and look around
  relapse new my-failure                start a scenario of your own`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(
		newRun(), newCluster(), newAgree(), newList(), newShow(), newValidate(), newSchema(), newNew(), newDoctor(), newJudge(), newReport(), newClean(),
		newVersion(),
	)
	return root
}

// exactly wants n arguments, named for the error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s wants %s; see %[1]s --help", c.CommandPath(), what)
		}
		return nil
	}
}
