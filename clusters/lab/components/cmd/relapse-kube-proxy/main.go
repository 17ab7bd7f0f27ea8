// Command relapse-kube-proxy runs kube-proxy's own proxier code in the network namespace it is started in. Instead of an
// API server it reads states from standard input (see package state) and reports each one that the kernel has taken.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/relapse-k8s/relapse/clusters/lab/components/state"
)

// options are the command line.
type options struct {
	mode        string
	nodeName    string
	nodeIP      netip.Addr
	clusterCIDR netip.Prefix
	serviceCIDR netip.Prefix
	metrics     string
	cleanUp     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "relapse-kube-proxy:", err)
		os.Exit(1)
	}
}

// run follows the states on input until it ends or ctx does. As with the real kube-proxy the rules stay when it ends;
// what removes them is the end of the namespace.
func run(ctx context.Context, args []string, input io.Reader, output io.Writer) error {
	opts, err := parse(args)
	if err != nil {
		return err
	}
	errors := &loggedErrors{}
	node, err := newNode(klog.NewContext(ctx, errors.logger()), opts)
	if err != nil {
		return err
	}
	if err := serveMetrics(opts.metrics, opts.mode); err != nil {
		return err
	}
	return serve(ctx, &syncer{node: node, errors: errors}, state.Follow(ctx, input), state.NewReporter(output))
}

// serve has one sync for every state, and another after syncPeriod where one failed, as kube-proxy does.
func serve(ctx context.Context, syncer *syncer, lines <-chan state.Line, reporter *state.Reporter) error {
	var revision int64
	retry := time.NewTimer(syncPeriod)
	retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, open := <-lines:
			if !open {
				return nil
			}
			if line.Err != nil {
				failed := revision
				if line.State != nil {
					failed = line.State.Revision
				}
				if err := reporter.Failed(failed, line.Err); err != nil {
					return err
				}
				continue
			}
			revision = line.State.Revision
			syncer.apply(line.State)
		case <-retry.C:
		}
		retry.Stop()

		seconds, err := syncer.sync()
		if err != nil {
			retry.Reset(syncPeriod)
			err = reporter.Failed(revision, err)
		} else {
			err = reporter.Synced(revision, seconds)
		}
		if err != nil {
			return err
		}
	}
}

func parse(args []string) (options, error) {
	var opts options
	flags := flag.NewFlagSet("relapse-kube-proxy", flag.ContinueOnError)
	flags.StringVar(&opts.mode, "mode", modeNFTables, "nftables or iptables")
	flags.StringVar(&opts.nodeName, "node-name", "", "name of the node that this is, as in EndpointSlices")
	flags.TextVar(&opts.nodeIP, "node-ip", netip.Addr{}, "the node's IPv4 address")
	flags.TextVar(&opts.clusterCIDR, "cluster-cidr", netip.Prefix{}, "the pods' network: what comes from elsewhere is masqueraded")
	flags.TextVar(&opts.serviceCIDR, "service-cidr", netip.Prefix{}, "the Services' network (optional): nftables mode drops what goes to no Service in it")
	flags.StringVar(&opts.metrics, "metrics-bind-address", "", "serve kube-proxy's metrics on this `address` (optional)")
	flags.BoolVar(&opts.cleanUp, "clean-up", false, "first remove the rules of the other mode, as kube-proxy does whenever it starts")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	switch {
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.mode != modeNFTables && opts.mode != modeIPTables:
		return opts, fmt.Errorf("--mode %q: must be %s or %s", opts.mode, modeNFTables, modeIPTables)
	case opts.nodeName == "":
		return opts, fmt.Errorf("--node-name is missing")
	case !opts.nodeIP.Is4():
		return opts, fmt.Errorf("--node-ip %q: must be an IPv4 address", opts.nodeIP)
	case !opts.clusterCIDR.IsValid() || !opts.clusterCIDR.Addr().Is4():
		return opts, fmt.Errorf("--cluster-cidr %q: must be an IPv4 network", opts.clusterCIDR)
	}
	return opts, nil
}
