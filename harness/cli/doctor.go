package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/runstate"
)

// programs that the lab calls, with the Debian package that has them.
var programs = []struct{ name, pkg, why string }{
	{"nft", "nftables", "kube-proxy in nftables mode calls it"},
	{"iptables", "iptables", "kube-proxy in iptables mode calls it"},
	{"conntrack", "conntrack", "its output is kept as evidence"},
	{"ip", "iproute2", "its output is kept as evidence"},
}

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Say what this machine can run, what it cannot, and how to change that", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := enterUserNamespace(c.Context()); err != nil {
				return err
			}
			return examine(c.Context(), c.OutOrStdout())
		},
	}
}

func examine(ctx context.Context, out io.Writer) error {
	say := func(ok bool, name, text string) {
		mark := "ok     "
		if !ok {
			mark = "missing"
		}
		fmt.Fprintf(out, "  %s  %-24s %s\n", mark, name, text)
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	who := "as root"
	if inUserNamespace() {
		who = "as an ordinary user, in a user namespace"
	}
	fmt.Fprintf(out, "Linux %s, %s\n\nPrograms\n", unix.ByteSliceToString(uts.Release[:]), who)
	for _, p := range programs {
		path, err := exec.LookPath(p.name)
		if err != nil {
			path = fmt.Sprintf("%s; apt-get install %s", p.why, p.pkg)
		}
		say(err == nil, p.name, path)
	}
	l, err := lab.New()
	if err != nil {
		say(false, "relapse's own", err.Error())
		return coded{exitSkipped, nil}
	}
	say(true, "relapse's own", l.Bin)
	offers, err := l.Offers(ctx)
	if err != nil {
		return coded{exitSkipped, err}
	}
	fmt.Fprintln(out, "\nKernel")
	for _, name := range slices.Sorted(maps.Keys(clusters.Known)) {
		offer := offers[name]
		say(offer.OK, name, clusters.Known[name])
		if offer.Why != "" {
			fmt.Fprintf(out, "  %-35s %s\n", "", offer.Why)
		}
	}
	fmt.Fprintln(out, "\nScenarios")
	all, err := listAll(ctx)
	if err != nil {
		return err
	}
	able := 0
	for _, s := range all {
		if s.Runs == "yes" {
			able++
		}
		say(s.Runs == "yes", s.ID, strings.TrimPrefix(s.Runs, "no: "))
	}
	fmt.Fprintln(out, "\nLeft by dead runs")
	if _, err := runstate.Clean(ctx, indent{out}, runstate.CleanOptions{DryRun: true}); err != nil {
		return err
	}
	if able == 0 {
		return coded{exitSkipped, nil}
	}
	return nil
}

// indent sets lines off.
type indent struct{ io.Writer }

func (i indent) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Fprint(i.Writer, "  ", line); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}
