package readers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

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
	metrics, err := ciliumMetrics(ctx)
	if err != nil {
		return nil, err
	}
	for _, other := range []map[string]float64{calicoPolicy(rules), ciliumPolicy(metrics)} {
		for key, value := range other {
			values[key] += value
		}
	}
	return values, nil
}

// calicoDrop is the rule at the end of the policies of a pod's chain: cali-tw-LINK has what goes to the pod, cali-fw-LINK what comes from it.
// A pod that no policy selects has none. Source: Calico felix/rules/endpoints.go.
var calicoDrop = regexp.MustCompile(`(?m)^\[(\d+):\d+\] -A cali-(tw|fw)-\S+ .*no policies passed packet.* -j (?:DROP|REJECT)\b`)

// calicoPolicy reads the output of iptables-save -c.
func calicoPolicy(rules []byte) map[string]float64 {
	values := map[string]float64{}
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
const ciliumPort = 9962

// metricsLimit is how long a program of the node may take to print its metrics.
const metricsLimit = 2 * time.Second

// ciliumMetrics asks the agent of Cilium on this node. Without one nobody listens.
func ciliumMetrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", ciliumPort), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENETUNREACH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return parseMetrics(text)
}

func parseMetrics(text []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}

// ciliumPolicy reads how many endpoints have policies enforced in which direction, and how many packets were dropped by policies.
func ciliumPolicy(metrics map[string]*dto.MetricFamily) map[string]float64 {
	values := map[string]float64{}
	directions := map[string]float64{"ingress": 1, "egress": 1, "both": 2}
	for _, m := range metrics["cilium_policy_endpoint_enforcement_status"].GetMetric() {
		values["isolated"] += directions[label(m, "enforcement")] * m.GetGauge().GetValue()
	}
	keys := map[string]string{"INGRESS": enforce.Ingress, "EGRESS": enforce.Egress}
	for _, m := range metrics["cilium_drop_count_total"].GetMetric() {
		if key := keys[label(m, "direction")]; key != "" && label(m, "reason") == "Policy denied" {
			values[key] += m.GetCounter().GetValue()
		}
	}
	return values
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}
