// Package fingerprint records the state of a network namespace, so that the states before and after a run can be compared. It leaves out
// what changes by itself (counters, lifetimes, what is learned from the network) and, on a host, separates relapse's own changes from
// those of others.
package fingerprint

import (
	"context"
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Options say what to record.
type Options struct {
	// Run is the id of the caller's own run. Things with the id of another run are not leftovers.
	Run string
	// Host adds what belongs to the whole machine, and makes the comparison tolerate others who use the machine at the same time.
	Host bool
	// StateDir is the state folder (runstate.Dir). If Host is set, this run's folder in it is recorded.
	StateDir string
}

// Fingerprint is the state of the calling process's network namespace.
type Fingerprint struct {
	// Netns is the inode of the namespace.
	Netns uint64 `json:"netns"`
	// Run is the id of the run that recorded it.
	Run string `json:"run,omitempty"`
	// Links by name.
	Links map[string]Link `json:"links"`
	// Addresses, permanent neighbours, routes, rules and queueing disciplines, one on each line, as ip(8) and tc(8) print them.
	Addresses  []string `json:"addresses"`
	Neighbours []string `json:"neighbours"`
	Routes     []string `json:"routes"`
	Rules      []string `json:"rules"`
	Qdiscs     []string `json:"qdiscs"`
	// Nft is the text of each nftables table, by family and name. NftBy says which program read it.
	Nft   map[string]string `json:"nft"`
	NftBy string            `json:"nft-by"`
	// Legacy is the text of each table of the older iptables, by family and name.
	Legacy map[string]string `json:"legacy-iptables,omitempty"`
	// Sysctls under net, by key.
	Sysctls map[string]string `json:"sysctls"`
	// Host is what belongs to the whole machine; absent in the namespace of a node or a pod.
	Host *Host `json:"host,omitempty"`
}

// Take records the network namespace of the calling process.
func Take(ctx context.Context, opts Options) (Fingerprint, error) {
	fp := Fingerprint{Run: opts.Run}
	var err error
	if fp.Netns, err = procs.Netns(0); err != nil {
		return fp, fmt.Errorf("fingerprint: %w", err)
	}
	// Other programs read the rules, while this one reads the rest.
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
		// This is last because those programs have the run's id, like all its processes.
		var hostErr error
		fp.Host, hostErr = takeHost(opts)
		err = errors.Join(err, hostErr)
	}
	if err != nil {
		return fp, fmt.Errorf("fingerprint of net:[%d]: %w", fp.Netns, err)
	}
	return fp, nil
}
