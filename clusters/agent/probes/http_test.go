package probes_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/relapse-k8s/relapse/clusters/agent/probes"
)

// recorder is a server that remembers who asked, and answers the nth request as told.
type recorder struct {
	answer func(n int) int

	mu      sync.Mutex
	clients []string
	methods []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients = append(r.clients, request.RemoteAddr)
	r.methods = append(r.methods, request.Method)
	w.Header().Set("Server", "recorder")
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(r.answer(len(r.clients)))
}

func serve(t *testing.T, answer func(n int) int) (*recorder, string) {
	t.Helper()
	r := &recorder{answer: answer}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestHTTPFailsOnAStatusThatIsNotExpected(t *testing.T) {
	for _, c := range []struct {
		expect []int
		status int
		want   string
	}{
		{nil, 200, ""},
		{nil, 204, ""},
		{nil, 302, "status 302 Found from recorder"},
		{nil, 404, "status 404 Not Found from recorder"},
		{nil, 426, "status 426 Upgrade Required from recorder"},
		{nil, 502, "status 502 Bad Gateway from recorder"},
		{[]int{404, 502}, 502, ""},
		{[]int{404, 502}, 200, "status 200 OK from recorder"},
	} {
		g := NewWithT(t)
		r, url := serve(t, func(int) int { return c.status })
		outcome, err := (&probes.HTTP{URL: url, Status: c.expect}).Attempt(bounded(t), 1)
		g.Expect(outcome.Seen).To(ContainSubstring("from recorder"))
		if c.want == "" {
			g.Expect(err).NotTo(HaveOccurred())
		} else {
			g.Expect(err).To(MatchError(c.want))
		}
		g.Expect(r.methods).To(HaveLen(1), "a redirect is not followed")
	}
}

func TestHTTPWarmsUntilItSucceedsAndMeasuresANewConnection(t *testing.T) {
	g := NewWithT(t)
	r, url := serve(t, func(n int) int {
		if n < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	const idle = 30 * time.Millisecond
	probe := &probes.HTTP{URL: url, Method: http.MethodPost, Warm: true, Idle: units.Duration(idle)}
	begin := time.Now()
	seen, err := probe.Attempt(bounded(t), 1)
	whole := time.Since(begin)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(seen.Seen).To(Equal("200 OK from recorder"))
	g.Expect(r.methods).To(HaveLen(4)) // two in vain, the one that warms, the one that counts
	g.Expect(r.methods).To(HaveEach(http.MethodPost))
	g.Expect(r.clients[3]).NotTo(Equal(r.clients[2]))
	g.Expect(whole-seen.Took).To(BeNumerically(">=", idle), "the pause is not counted")
}

func TestHTTPSaysWhyItNeverGotWarm(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, url := serve(t, func(n int) int {
		if n == 2 {
			cancel()
		}
		return http.StatusBadGateway
	})
	_, err := (&probes.HTTP{URL: url, Warm: true}).Attempt(ctx, 1)
	g.Expect(err).To(MatchError(ContainSubstring("no warm request succeeded")))
}

func TestHTTPRefusesSettings(t *testing.T) {
	g := NewWithT(t)
	g.Expect((&probes.HTTP{URL: "https://web/"}).Validate()).To(MatchError(`"https://web/": write http://HOST[:PORT]/PATH`))
	g.Expect((&probes.HTTP{URL: "http://web/", Idle: 1}).Validate()).To(MatchError(ContainSubstring("it needs warm: true")))
	g.Expect((&probes.HTTP{URL: "http://web/", Status: []int{40}}).Validate()).To(MatchError("status 40: must be from 200 to 599"))
	g.Expect((&probes.HTTP{URL: "http://web:80/", Status: []int{404}}).Validate()).To(Succeed())
}

// named is a server that says its name and closes connections as told.
func named(t *testing.T, last func(r *http.Request) bool) (url string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(probes.ServedBy, "web-1")
		w.Header().Set("Server", r.Proto+" "+r.RemoteAddr)
		if last(r) {
			w.Header().Set("Connection", "close")
		}
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func TestHTTPKeepsItsConnection(t *testing.T) {
	for name, c := range map[string]struct {
		probe *probes.HTTP
		proto string
		kept  bool
	}{
		"HTTP/1.1":     {&probes.HTTP{}, "HTTP/1.1", false},
		"kept":         {&probes.HTTP{Kept: true}, "HTTP/1.1", true},
		"HTTP/2":       {&probes.HTTP{HTTP2: true}, "HTTP/2.0", false},
		"kept, HTTP/2": {&probes.HTTP{Kept: true, HTTP2: true, Ping: units.Duration(time.Second)}, "HTTP/2.0", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := c.probe
			ends := false
			p.URL = named(t, func(*http.Request) bool { return ends })
			attempt := func(p probes.Probe) string {
				outcome, err := p.Attempt(bounded(t), 0)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(outcome.By).To(Equal("web-1"))
				g.Expect(outcome.Seen).To(HavePrefix("200 OK from " + c.proto + " 127.0.0.1:"))
				return outcome.Seen
			}
			same := Equal
			if !c.kept {
				same = func(other any) types.GomegaMatcher { return Not(Equal(other)) }
				g.Expect(p.Renewed()).To(BeNil())
			}
			first := attempt(p)
			g.Expect(attempt(p)).To(same(first))
			if !c.kept {
				return
			}
			g.Expect(p.Port()).NotTo(BeZero())
			renewed := p.Renewed()
			var together sync.WaitGroup
			all := make([]string, 10)
			for i := range all {
				together.Go(func() { all[i] = attempt(renewed) })
			}
			together.Wait()
			g.Expect(all).To(HaveEach(all[0]))
			g.Expect(all[0]).NotTo(Equal(first))
			g.Expect(renewed.Close()).To(Succeed())
			ends = true
			g.Expect(attempt(p)).To(Equal(first), "the last answer of the connection")
			ends = false
			g.Expect(attempt(p)).NotTo(Equal(first), "another one is open")
			g.Expect(p.Close()).To(Succeed())
		})
	}
}

// freezable forwards connections to an address, until it is frozen: then it keeps them open and passes nothing.
func freezable(t *testing.T, to string) (address string, freeze func()) {
	t.Helper()
	g := NewWithT(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { listener.Close() })
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp4", to)
			if err != nil {
				client.Close()
				return
			}
			mu.Lock()
			open = append(open, server)
			mu.Unlock()
			t.Cleanup(func() { client.Close() })
			go func() { _, _ = io.Copy(server, client) }()
			go func() { _, _ = io.Copy(client, server) }()
		}
	}()
	return listener.Addr().String(), func() {
		mu.Lock()
		defer mu.Unlock()
		for _, server := range open {
			server.Close()
		}
	}
}

func TestAPingEndsAConnectionThatIsDead(t *testing.T) {
	g := NewWithT(t)
	server := strings.TrimPrefix(named(t, func(*http.Request) bool { return false }), "http://")
	for _, ping := range []units.Duration{0, units.Duration(50 * time.Millisecond)} {
		address, freeze := freezable(t, server)
		p := &probes.HTTP{URL: "http://" + address, Method: http.MethodPost, Kept: true, HTTP2: true, Ping: ping}
		first, err := p.Attempt(bounded(t), 0)
		g.Expect(err).NotTo(HaveOccurred())
		freeze()
		if ping > 0 {
			_, err = p.Attempt(bounded(t), 1)
			g.Expect(err).To(HaveOccurred(), "the ping has no answer")
			third, err := p.Attempt(bounded(t), 2)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(third.Ports).NotTo(Equal(first.Ports))
		} else {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			_, err = p.Attempt(ctx, 1)
			cancel()
			g.Expect(err).To(MatchError(context.DeadlineExceeded), "who does not ping, waits")
		}
		g.Expect(p.Close()).To(Succeed())
	}
}
