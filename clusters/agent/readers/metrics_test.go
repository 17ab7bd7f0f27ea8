package readers

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

const someMetrics = `# HELP drops_total What was dropped.
# TYPE drops_total counter
drops_total{direction="in",reason="policy"} 3
drops_total{direction="out",reason="policy"} 4
drops_total{direction="out",reason="other"} 50
# TYPE sync_seconds histogram
sync_seconds_bucket{le="+Inf"} 6
sync_seconds_sum 1.5
sync_seconds_count 6
temperature -2
`

func TestMetrics(t *testing.T) {
	g := NewWithT(t)
	var answer func(http.ResponseWriter)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.Expect(r.URL.Path).To(Equal("/metrics"))
		answer(w)
	}))
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())

	answer = func(w http.ResponseWriter) { _, _ = io.WriteString(w, someMetrics) }
	g.Expect(metrics(t.Context(), port, []string{
		"drops_total", `drops_total{reason="policy"}`, `drops_total{reason="policy",direction="out"}`, `drops_total{reason="not yet"}`,
		"sync_seconds_count", "sync_seconds_sum", "temperature", "not_yet_total",
	})).To(Equal(map[string]float64{
		"drops_total": 57, `drops_total{reason="policy"}`: 7, `drops_total{reason="policy",direction="out"}`: 4, `drops_total{reason="not yet"}`: 0,
		"sync_seconds_count": 6, "sync_seconds_sum": 1.5, "temperature": -2, "not_yet_total": 0,
	}))

	answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }
	_, err = metrics(t.Context(), port, []string{"drops_total"})
	g.Expect(err).To(MatchError("metrics of port " + port + ": 403 Forbidden"))
	answer = func(w http.ResponseWriter) {
		w.Header().Set("Location", "http://192.0.2.1/metrics")
		w.WriteHeader(http.StatusFound)
	}
	_, err = metrics(t.Context(), port, []string{"drops_total"})
	g.Expect(err).To(MatchError("metrics of port " + port + ": 302 Found"))
	answer = func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }
	_, err = metrics(t.Context(), port, []string{"drops_total"})
	g.Expect(err).To(MatchError(HavePrefix("metrics of port " + port + ": text format parsing error in line 1")))

	server.Close()
	g.Expect(metrics(t.Context(), port, []string{"drops_total"})).To(BeNil())
}

func TestSeries(t *testing.T) {
	g := NewWithT(t)
	for text, kind := range map[string]units.Kind{
		"drops_total": units.Counter, `a_total{b="c d",e="f}"}`: units.Counter, "sync_count": units.Counter, "temperature": units.Signed,
	} {
		key, err := metricsKey(text)
		g.Expect(err).NotTo(HaveOccurred(), text)
		g.Expect(key.Kind).To(Equal(kind), text)
	}
	for _, text := range []string{"", "a b", "a{b}", `a{b="c"`, "a 1\nb", "# a", "a 1", `a{b=~"c"}`, "sum(a)", "a-b"} {
		_, err := metricsKey(text)
		g.Expect(err).To(MatchError(ContainSubstring("is not a series")), text)
	}
	for _, text := range []string{"", "0", "-1", "65536", "PORT", "010", "9962/x"} {
		g.Expect(portAfter("metrics", "10249")(text)).NotTo(Succeed(), text)
	}
	g.Expect(portAfter("metrics", "10249")("9962")).To(Succeed())
}
