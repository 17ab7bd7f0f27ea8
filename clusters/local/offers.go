package local

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/relapse-k8s/relapse/clusters/agent/features"
	"github.com/relapse-k8s/relapse/clusters/offers"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
)

// Offers finds out what this machine's kernel offers to clusters: an agent tries it in its own namespace.
func Offers(ctx context.Context, bin string) (map[string]offers.Offer, error) {
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
	offers, err := features.Probe.Call(ctx, p.Conn, agent.None{}, nil)
	if err = errors.Join(err, p.End(ctx)); err != nil {
		log, _ := os.ReadFile(programs.LogFile("offers"))
		return nil, fmt.Errorf("finding out what this machine offers: %w\n%s", err, log)
	}
	offers["kernel-log"] = kernelLog()
	offers["host-conntrack-max"] = hostConntrackMax()
	return offers, nil
}

func kernelLog() offers.Offer {
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY, 0)
	if err != nil {
		return offers.Offer{Why: fmt.Sprintf("%v; run as root", err)}
	}
	log.Close()
	return offers.Offer{OK: true, Why: "/dev/kmsg can be read"}
}

func hostConntrackMax() offers.Offer {
	file, err := os.OpenFile("/proc/sys/net/netfilter/nf_conntrack_max", os.O_WRONLY, 0)
	if err != nil {
		return offers.Offer{Why: fmt.Sprintf("%v; run as root on the machine itself", err)}
	}
	file.Close()
	return offers.Offer{OK: true, Why: "it can be written; scenarios do so only with --allow-host-changes"}
}
