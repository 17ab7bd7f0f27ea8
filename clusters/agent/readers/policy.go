package readers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	dto "github.com/prometheus/client_model/go"

	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/agent/tool"
)

// policy reads what network policies do on a node, whoever enforces them: the lab's own rules, Calico's or Cilium.
func policy(ctx context.Context) (map[string]float64, error) {
	values, err := enforce.Readings(ctx)
	if err != nil || values["isolated"] > 0 {
		return values, err // nobody else enforces policies in the lab
	}
	// The variant for nftables, which Calico uses where kubelets do. The other one would make an empty table by reading it.
	rules, err := tool.Network(ctx, "iptables-nft-save", "-c", "-t", "filter").Output()
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("iptables-nft-save -c -t filter: %w", err)
	}
	families, err := scrape(ctx, ciliumPort)
	if err != nil {
		return nil, err
	}
	for _, other := range []map[string]float64{calicoPolicy(rules), ciliumPolicy(families)} {
		for key, value := range other {
			values[key] += value
		}
	}
	return values, nil
}

// calicoDrop is the rule at the end of the policies of a pod's chain: cali-tw-LINK has what goes to the pod, cali-fw-LINK what comes from it.
// A pod that no policy selects has none. Source: Calico felix/rules/endpoints.go.
var calicoDrop = regexp.MustCompile(`(?m)^\[(\d+):\d+\] -A cali-(tw|fw)-\S+ .*no policies passed packet.* -j (?:DROP|REJECT)\b`)

// calicoUnknown is the rule for packets from or to a pod that Felix has no chain for. Source: Calico felix/rules/dispatch.go.
var calicoUnknown = regexp.MustCompile(`(?m)^\[(\d+):\d+\] -A cali-(?:to|from)-wl-dispatch .*Unknown interface.* -j (?:DROP|REJECT)\b`)

// calicoPolicy reads the output of iptables-save -c.
func calicoPolicy(rules []byte) map[string]float64 {
	values := map[string]float64{}
	for _, rule := range calicoUnknown.FindAllSubmatch(rules, -1) {
		packets, _ := strconv.ParseFloat(string(rule[1]), 64) // digits
		values["unknown"] += packets
	}
	for _, rule := range calicoDrop.FindAllSubmatch(rules, -1) {
		packets, _ := strconv.ParseFloat(string(rule[1]), 64) // digits
		direction := enforce.Ingress
		if string(rule[2]) == "fw" {
			direction = enforce.Egress
		}
		values["isolated"]++
		values[direction] += packets
	}
	return values
}

// ciliumPort is where Cilium's agent serves metrics, if they are enabled. Source: Cilium Documentation/observability/metrics.rst.
const ciliumPort = "9962"

// ciliumPolicy reads how many endpoints have policies enforced in which direction, and how many packets were dropped by policies.
func ciliumPolicy(families map[string]*dto.MetricFamily) map[string]float64 {
	dropped := func(direction string) float64 {
		return series{"cilium_drop_count_total", map[string]string{"direction": direction, "reason": "Policy denied"}}.sum(families)
	}
	enforced := func(directions string) float64 {
		return series{"cilium_policy_endpoint_enforcement_status", map[string]string{"enforcement": directions}}.sum(families)
	}
	return map[string]float64{
		"isolated":      enforced("ingress") + enforced("egress") + 2*enforced("both"),
		enforce.Ingress: dropped("INGRESS"),
		enforce.Egress:  dropped("EGRESS"),
	}
}
