package local

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/netconf"
	"github.com/relapse-k8s/relapse/clusters/sandbox"
	"github.com/relapse-k8s/relapse/harness/agent"
)

// Offers finds out what this machine's kernel offers every cluster on it: an agent in a namespace of its own tries.
func Offers(ctx context.Context, bin string) (map[string]clusters.Offer, error) {
	logs, err := os.MkdirTemp("", "relapse-offers-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(logs)
	programs := Programs{Bin: bin, Logs: logs}
	p, err := programs.Start("offers", sandbox.WiringNamespaces, "wiring")
	if err != nil {
		return nil, err
	}
	offers, err := netconf.ProbeOffers.Call(ctx, p.Conn, agent.None{}, nil)
	if err = errors.Join(err, p.End(ctx)); err != nil {
		log, _ := os.ReadFile(programs.LogFile("offers"))
		return nil, fmt.Errorf("finding out what this machine offers: %w\n%s", err, log)
	}
	offers["kernel-log"] = kernelLog()
	offers["host-conntrack-max"] = hostConntrackMax()
	return offers, nil
}

func kernelLog() clusters.Offer {
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY, 0)
	if err != nil {
		return clusters.Offer{Why: fmt.Sprintf("%v; run as root", err)}
	}
	log.Close()
	return clusters.Offer{OK: true, Why: "/dev/kmsg can be read"}
}

func hostConntrackMax() clusters.Offer {
	file, err := os.OpenFile("/proc/sys/net/netfilter/nf_conntrack_max", os.O_WRONLY, 0)
	if err != nil {
		return clusters.Offer{Why: fmt.Sprintf("%v; run as root on the machine itself", err)}
	}
	file.Close()
	return clusters.Offer{OK: true, Why: "it can be written; scenarios do so only with --allow-host-changes"}
}
