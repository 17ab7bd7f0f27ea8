package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/runstate"
)

// programs that the lab calls, with the Debian package that has them.
var programs = []struct{ name, version, pkg, why string }{
	{"nft", "--version", "nftables", "kube-proxy in nftables mode calls it"},
	{"iptables", "--version", "iptables", "kube-proxy in iptables mode calls it"},
	{"conntrack", "--version", "conntrack", "its output is kept as evidence"},
	{"ip", "-V", "iproute2", "its output is kept as evidence"},
	{"getent", "--version", "libc-bin", "commands to see a failure use it"},
}

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Say what this machine can run, what it cannot, and how to change that", Args: exactly(0, "no arguments"),
		Long: `Doctor tries what scenarios need, and says what is missing and how to get it. It
also says what runs have left behind that were killed; relapse clean undoes it.

Exit codes: 0 where at least one scenario can run here, else 4.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := enterUserNamespace(); err != nil {
				return err
			}
			out := c.OutOrStdout()
			return (&doctor{page{w: out, width: width(out)}}).examine(c.Context())
		},
	}
}

type doctor struct{ page }

func (d *doctor) say(ok bool, name, text string) {
	mark := "ok"
	if !ok {
		mark = "no"
	}
	d.text(fmt.Sprintf("  %s  %-23s  ", mark, name), text)
}

func (d *doctor) examine(ctx context.Context) error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	who := "root"
	if inUserNamespace() {
		who = "an ordinary user, in a user namespace"
	}
	d.text("", fmt.Sprintf("Linux %s, as %s", unix.ByteSliceToString(uts.Release[:]), who))
	d.heading("Programs")
	for _, p := range programs {
		d.program(ctx, p.name, p.version, p.why, p.pkg)
	}
	var offers map[string]clusters.Offer
	l, err := lab.New()
	if err == nil {
		d.say(true, "relapse's own", l.Bin)
		offers, err = l.Offers(ctx)
	} else {
		d.say(false, "relapse's own", err.Error())
	}
	d.heading("Kernel")
	if err != nil {
		d.say(false, "the lab", err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(offers)) {
		if offers[name].OK {
			d.say(true, name, clusters.Known[name])
		} else {
			d.say(false, name, clusters.Known[name]+": "+offers[name].Why)
		}
	}
	able, err := d.scenarios(offers, err)
	if err != nil {
		return err
	}
	d.heading("Left by dead runs")
	if err := d.leftovers(ctx); err != nil {
		return err
	}
	if !able {
		return coded{exitSkipped, nil}
	}
	return nil
}

func (d *doctor) program(ctx context.Context, name, flag, why, pkg string) {
	path, err := exec.LookPath(name)
	if err != nil {
		d.say(false, name, fmt.Sprintf("%s: apt-get install %s", why, pkg))
		return
	}
	version, _ := exec.CommandContext(ctx, path, flag).CombinedOutput() // a program that does not tell is there all the same
	first, _, _ := strings.Cut(strings.TrimSpace(string(version)), "\n")
	d.say(true, name, fmt.Sprintf("%s (%s)", path, first))
}

// scenarios says which can run, and whether any can.
func (d *doctor) scenarios(offers map[string]clusters.Offer, offersErr error) (able bool, err error) {
	d.heading("Scenarios")
	all, err := listAll(offers, offersErr)
	for _, s := range all {
		able = able || s.Runs
		d.say(s.Runs, s.ID, strings.TrimPrefix(strings.TrimPrefix(s.here(), "no: "), "yes; "))
	}
	return able, err
}

func (d *doctor) leftovers(ctx context.Context) error {
	var said strings.Builder
	found, err := runstate.Clean(ctx, &said, runstate.CleanOptions{DryRun: true})
	swept, sweepErr := kind.Sweep(ctx, &said, true)
	for line := range strings.Lines(said.String()) {
		text := strings.TrimLeft(line, " ")
		d.text("  "+line[:len(line)-len(text)], text)
	}
	if len(found.Dead)+len(found.Orphans)+len(swept.Found) > 0 {
		d.verbatim("  ", "relapse clean does that")
	} else if len(found.Alive)+len(swept.Unknown) == 0 {
		d.verbatim("  ", "nothing")
	}
	if os.IsPermission(err) {
		d.text("  ", err.Error())
		return sweepErr
	}
	return errors.Join(err, sweepErr)
}
