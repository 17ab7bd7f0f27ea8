package readers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

const (
	// metricsLimit is how long a program may take to print its metrics, metricsBytes how much it may print.
	metricsLimit = 2 * time.Second
	metricsBytes = 16 << 20
)

// metrics reads what a program at the place serves to Prometheus on 127.0.0.1. A series that is not there yet is 0, because client
// libraries leave out labels that they have not counted. Without a program that serves metrics there are no numbers.
func metrics(ctx context.Context, port string, series []string) (map[string]float64, error) {
	families, err := scrape(ctx, port)
	if err != nil || families == nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, text := range series {
		wanted, err := parseSeries(text)
		if err != nil {
			return nil, err
		}
		values[text] = wanted.sum(families)
	}
	return values, nil
}

// metricsKey checks the name of a series and says what is known of it: by the conventions for names, a total never falls.
func metricsKey(text string) (units.Key, error) {
	wanted, err := parseSeries(text)
	key := units.Key{Means: "what the program says", Kind: units.Signed}
	for _, suffix := range []string{"_total", "_count"} {
		if strings.HasSuffix(wanted.name, suffix) {
			key.Kind = units.Counter
		}
	}
	return key, err
}

// portAfter checks the part of a reader's name after the slash.
func portAfter(reader, example string) func(string) error {
	return func(text string) error {
		if port, err := strconv.ParseUint(text, 10, 16); err != nil || port == 0 || text != strconv.FormatUint(port, 10) {
			return fmt.Errorf("%s/%s: the port must be 1 to 65535, as in %s/%s", reader, text, reader, example)
		}
		return nil
	}
}

// series is what is added up: all samples of a name whose labels are these, and perhaps more.
type series struct {
	name   string
	labels map[string]string
}

// parseSeries reads NAME or NAME{LABEL="VALUE",...}, as programs print it.
func parseSeries(text string) (series, error) {
	families, err := parseMetrics([]byte(text + " 0\n"))
	for name, family := range families {
		if m := family.GetMetric(); err == nil && len(m) == 1 && m[0].TimestampMs == nil && !strings.Contains(text, "\n") {
			return series{name, labelsOf(m[0])}, nil
		}
	}
	return series{}, fmt.Errorf("%q is not a series: write NAME or NAME{LABEL=\"VALUE\"}", text)
}

func (s series) sum(families map[string]*dto.MetricFamily) (sum float64) {
	for name, family := range families {
		suffix, of := strings.CutPrefix(s.name, name)
		if !of {
			continue
		}
		for _, m := range family.GetMetric() {
			if value, ok := valueOf(m, suffix); ok && s.covers(labelsOf(m)) {
				sum += value
			}
		}
	}
	return sum
}

func (s series) covers(labels map[string]string) bool {
	both := maps.Clone(labels)
	maps.Copy(both, s.labels)
	return maps.Equal(both, labels)
}

// valueOf is the number of a metric; those of histograms and summaries have names with a suffix.
func valueOf(m *dto.Metric, suffix string) (float64, bool) {
	switch {
	case suffix == "" && m.Counter != nil:
		return m.GetCounter().GetValue(), true
	case suffix == "" && m.Gauge != nil:
		return m.GetGauge().GetValue(), true
	case suffix == "" && m.Untyped != nil:
		return m.GetUntyped().GetValue(), true
	case suffix == "_count":
		return float64(m.GetHistogram().GetSampleCount() + m.GetSummary().GetSampleCount()), m.Histogram != nil || m.Summary != nil
	case suffix == "_sum":
		return m.GetHistogram().GetSampleSum() + m.GetSummary().GetSampleSum(), m.Histogram != nil || m.Summary != nil
	}
	return 0, false
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, pair := range m.GetLabel() {
		labels[pair.GetName()] = pair.GetValue()
	}
	return labels
}

// scraper goes nowhere but to the port, and leaves no connection behind, which would be an entry of connection tracking.
var scraper = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// scrape reads the metrics on a port of 127.0.0.1. It returns nil if nobody listens.
func scrape(ctx context.Context, port string) (map[string]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, metricsLimit, fmt.Errorf("no metrics from port %s within %s", port, metricsLimit))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := scraper.Do(request)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENETUNREACH) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of port %s: %s", port, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, metricsBytes))
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	families, err := parseMetrics(text)
	if err != nil {
		return nil, fmt.Errorf("metrics of port %s: %w", port, err)
	}
	return families, nil
}

func parseMetrics(text []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}
