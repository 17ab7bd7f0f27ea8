package probes

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestHTTPUsesAddressesInTurn(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	listener, err := net.Listen("tcp4", "0.0.0.0:8080")
	g.Expect(err).NotTo(HaveOccurred())
	server := http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s at %s", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey))
	})}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	p := &HTTP{URL: "http://web:8080/", Kept: true, RoundRobin: true, HTTP2: true}
	g.Expect(p.Validate()).To(Succeed())
	var answers []string
	for range 4 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL, nil)
		g.Expect(err).NotTo(HaveOccurred())
		response, err := p.next([]string{"127.0.0.1", "127.0.0.2"}).RoundTrip(request)
		g.Expect(err).NotTo(HaveOccurred())
		text, err := io.ReadAll(response.Body)
		g.Expect(err).NotTo(HaveOccurred())
		answers = append(answers, string(text))
	}
	g.Expect(answers[:2]).To(HaveExactElements(HaveSuffix(" at 127.0.0.1:8080"), HaveSuffix(" at 127.0.0.2:8080")))
	g.Expect(answers[2:]).To(Equal(answers[:2]), "over the same connections")
	g.Expect(p.Close()).To(Succeed())
	g.Expect((&HTTP{URL: p.URL, RoundRobin: true}).Validate()).To(MatchError(ContainSubstring("needs kept")))
}
