package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/offers"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/lab"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check what this machine can run, and how to get what is missing", Args: exactly(0, "no arguments"),
		Long: `Doctor tests what scenarios need, and says what is missing and how to get it. It
also lists what dead runs left on this machine; relapse clean undoes that. What
the offers mean: relapse explain offer.

Exit codes: 0 if at least one scenario can run in the lab here, 4 if none can.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := enterUserNamespace(); err != nil {
				return err
			}
			out := c.OutOrStdout()
			return (&doctor{page: page{w: out, width: width(out)}}).examine(c.Context())
		},
	}
}

type doctor struct {
	page
	column int // width of the names in this section
}

// section begins a section that says something about these names.
func (d *doctor) section(title string, names ...string) {
	d.heading(title)
	d.column = 0
	for _, name := range names {
		d.column = max(d.column, len(name))
	}
}

func (d *doctor) say(ok bool, name, text string) {
	mark := "ok"
	if !ok {
		mark = "no"
	}
	d.text(fmt.Sprintf("  %s  %-*s  ", mark, d.column, name), text)
}

// all lists what is as it should be.
func (d *doctor) all(names []string) {
	if len(names) > 0 {
		d.text("  ok  ", strings.Join(names, ", "))
	}
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
	d.text("", fmt.Sprintf("Linux %s, running as %s", unix.ByteSliceToString(uts.Release[:]), who))
	const own = "relapse's own"
	names := []string{own}
	for _, p := range lab.Programs {
		names = append(names, p.Name)
	}
	d.section("Programs", names...)
	for _, p := range lab.Programs {
		d.program(ctx, p)
	}
	var found map[string]offers.Offer
	l, err := lab.New()
	if err == nil {
		d.say(true, own, l.Bin)
		found, err = l.Offers(ctx)
	} else {
		d.say(false, own, err.Error())
	}
	d.section("Kernel", slices.Collect(maps.Keys(found))...)
	if err != nil {
		d.say(false, "the lab", err.Error())
	}
	var offered []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name].OK {
			offered = append(offered, name)
		} else {
			d.say(false, name, found[name].Why)
		}
	}
	d.all(offered)
	able, err := d.scenarios(found, cmp.Or(err, lab.Missing(proxies[0])))
	if err != nil {
		return err
	}
	d.section("Kind", "kind")
	d.kind(ctx)
	d.heading("Left by dead runs")
	if err := d.leftovers(ctx); err != nil {
		return err
	}
	if !able {
		return coded{exitSkipped, nil}
	}
	return nil
}

func (d *doctor) program(ctx context.Context, p lab.Program) {
	path, err := exec.LookPath(p.Name)
	if err != nil {
		d.say(false, p.Name, fmt.Sprintf("%s; apt-get install %s", p.Why, p.Package))
		return
	}
	version, _ := exec.CommandContext(ctx, path, p.Version).CombinedOutput() // a program without a version is installed, too
	first, _, _ := strings.Cut(strings.TrimSpace(string(version)), "\n")
	d.say(true, p.Name, fmt.Sprintf("%s (%s)", path, first))
}

// scenarios lists which scenarios can run, and returns whether any can. Why an offer is missing was said before.
func (d *doctor) scenarios(offers map[string]offers.Offer, offersErr error) (able bool, err error) {
	if offersErr != nil {
		d.section("Scenarios", "all")
		d.say(false, "all", offersErr.Error())
		return false, nil
	}
	all, err := listAll(offers, nil)
	var ids, whole []string
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	d.section("Scenarios", ids...)
	for _, s := range all {
		able = able || s.Runs
		var not []string
		for _, v := range s.Variants {
			if !v.Runs {
				not = append(not, v.ID+" needs "+strings.Join(v.missing, ", "))
			}
		}
		if len(not) == 0 {
			whole = append(whole, s.ID)
		} else {
			d.say(s.Runs, s.ID, strings.Join(not, "; "))
		}
	}
	d.all(whole)
	return able, err
}

// kind says whether --cluster kind can run.
func (d *doctor) kind(ctx context.Context) {
	image, err := provision.Available(ctx)
	switch {
	case err != nil:
		d.say(false, "kind", err.Error())
	case inUserNamespace():
		d.say(false, "kind", "--cluster kind needs root")
	default:
		d.say(true, "kind", "node image "+image)
	}
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
		d.verbatim("  ", "To undo this, run: relapse clean")
	} else if len(found.Alive)+len(swept.Unknown) == 0 {
		d.verbatim("  ", "nothing")
	}
	if os.IsPermission(err) {
		d.text("  ", err.Error())
		return sweepErr
	}
	return errors.Join(err, sweepErr)
}
