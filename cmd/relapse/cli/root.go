// Package cli is the relapse command: one small file for each of its commands.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/relapse-k8s/relapse/clusters/agent/sbin"
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
  1  fail          something was not as the scenario expects
  2  usage         the command line is wrong, or a file is invalid
  3  inconclusive  nothing can be concluded: the cluster was unhealthy, the fault
                   did not take effect, something crashed, or Ctrl-C was pressed
  4  skipped       this machine cannot run it`

// coded is an exit code with an error; the error may be nil.
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

// byOutcome returns the exit code of an outcome as an error without a message.
func byOutcome(o judge.Outcome) error {
	if o == judge.Pass {
		return nil
	}
	return coded{exitCode(o), nil}
}

// Main runs the command and returns the exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	if err := sbin.AddToPath(); err != nil {
		fmt.Fprintln(errs, "relapse:", err)
		return exitInconclusive
	}
	ctx, stop := signals(context.Background())
	defer stop()
	root := newRoot()
	// An error before a command starts to work is an error of the command line.
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
		fmt.Fprintln(errs, "relapse:", withHelp(text))
	}
	var c coded
	if errors.As(err, &c) {
		return c.code
	}
	if !began {
		return exitUsage
	}
	return exitInconclusive // something broke, which says nothing about a scenario
}

// withHelp adds to cobra's message about an unknown command where the known ones are listed.
func withHelp(text string) string {
	first, suggestions, more := strings.Cut(text, "\n")
	if _, group, found := strings.Cut(first, `" for "`); found && strings.HasPrefix(first, "unknown command ") {
		first += "; see " + strings.TrimSuffix(group, `"`) + " --help"
	}
	if more {
		first += "\n" + suggestions
	}
	return first
}

// signals cancels the context at the first SIGINT or SIGTERM, so that everything is undone. A second signal of the same kind
// ends the process at once, and the guard undoes the rest. It must be the same kind because one Ctrl-C arrives twice in a user
// namespace: from the terminal as SIGINT, and forwarded as SIGTERM by the process outside.
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
		Short: "Reproduce known Kubernetes network failures, and check what is documented about them",
		Long: `relapse reproduces known Kubernetes network failures on a real kernel. For each
failure it checks the symptom, the documented ways to detect it, and the
documented remedies: each remedy is applied, and withdrawn again to see the
failure return. Then it undoes its changes, checks that nothing is left, and
writes a report.

You do not need a cluster or a container engine. By default scenarios run in a
lab: network namespaces on this machine, as root or in a user namespace.

` + exitCodes,
		Example: `  relapse doctor                        check what this machine can run
  relapse list                          list the scenarios
  relapse show dns-5s                   describe one: remedies, claims, sources
  relapse run dns-5s                    run it and write a report
  relapse run dns-5s --pause-at fault   pause while the failure is present
  relapse new my-failure                create a scenario of your own`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if wrong := new(pflag.InvalidValueError); errors.As(err, &wrong) && wrong.GetFlag().Value.Type() == "duration" {
			return usagef("invalid --%s %q: must be a number with a unit, such as 5m", wrong.GetFlag().Name, wrong.GetValue())
		}
		return usagef("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(
		newRun(), newCluster(), newDeploy(), newAgree(), newCompare(), newHistory(), newSite(), newList(), newMatrix(), newShow(), newExplain(), newValidate(), newSchema(), newNew(), newDoctor(), newJudge(), newReport(), newClean(),
		newVersion(),
	)
	return root
}

// exactly requires n arguments; what describes them in the error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s; see %[1]s --help", c.CommandPath(), what)
		}
		return nil
	}
}

// atLeast requires n arguments or more; what describes them in the error.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return usagef("%s takes %s; see %[1]s --help", c.CommandPath(), what)
		}
		return nil
	}
}

// oneOf refuses a flag's value that is not in a list.
func oneOf(flag, value string, list []string) error {
	if slices.Contains(list, value) {
		return nil
	}
	return usagef("invalid --%s %q: must be one of %s", flag, value, strings.Join(list, ", "))
}
