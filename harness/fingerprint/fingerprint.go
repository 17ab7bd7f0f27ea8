// Package fingerprint says what a network namespace looks like, so that two looks can be compared: is the machine the same
// afterwards? It leaves out what changes by itself (counters, lifetimes, what the network teaches) and, on a host, tells the
// doings of others apart from relapse's own.
package fingerprint

import (
	"context"
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/harness/runstate/procs"
)

// Options are what to look at.
type Options struct {
	// Run is the id of the caller's own run. What carries the id of another run is nobody's leftover.
	Run string
	// Host adds what belongs to the whole machine, and makes the comparison bear with others who use it at the same time.
	Host bool
	// StateDir is the folder of the state of runs (runstate.Dir); its folder of this run is looked at when Host is set.
	StateDir string
}

// Fingerprint is the state of the calling process's network namespace.
type Fingerprint struct {
	// Netns is the inode of the namespace.
	Netns uint64 `json:"netns"`
	// Run is the id of the run that took it.
	Run string `json:"run,omitempty"`
	// Links by name.
	Links map[string]Link `json:"links"`
	// Addresses, routes, rules and queueing disciplines, one a line as ip(8) and tc(8) would say it.
	Addresses []string `json:"addresses"`
	Routes    []string `json:"routes"`
	Rules     []string `json:"rules"`
	Qdiscs    []string `json:"qdiscs"`
	// Nft is the text of each nftables table, by family and name; NftBy says what read it.
	Nft   map[string]string `json:"nft"`
	NftBy string            `json:"nft-by"`
	// Legacy is the text of each table of the older iptables, by family and name.
	Legacy map[string]string `json:"legacy-iptables,omitempty"`
	// Sysctls under net, by key.
	Sysctls map[string]string `json:"sysctls"`
	// Host is what belongs to the whole machine; absent in the namespace of a node or a pod.
	Host *Host `json:"host,omitempty"`
}

// Take looks at the network namespace that the calling process lives in.
func Take(ctx context.Context, opts Options) (Fingerprint, error) {
	fp := Fingerprint{Run: opts.Run}
	var err error
	if fp.Netns, err = procs.Netns(0); err != nil {
		return fp, fmt.Errorf("fingerprint: %w", err)
	}
	// The rules are read by other programs. They run while this one reads the rest.
	rules := make(chan error, 1)
	go func() {
		var err error
		fp.Nft, fp.NftBy, err = takeNft(ctx)
		if err == nil {
			fp.Legacy, err = takeLegacy(ctx)
		}
		rules <- err
	}()
	err = errors.Join(fp.takeLinks(), fp.takeSysctls(opts.Host), <-rules)
	if opts.Host {
		// Last, or it would see those programs, which carry the run's id as all its processes do.
		var hostErr error
		fp.Host, hostErr = takeHost(opts)
		err = errors.Join(err, hostErr)
	}
	if err != nil {
		return fp, fmt.Errorf("fingerprint of net:[%d]: %w", fp.Netns, err)
	}
	return fp, nil
}
