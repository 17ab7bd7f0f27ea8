package logs

import (
	"testing"

	. "github.com/onsi/gomega"
)

// The lines are what the programs said, but for Envoy's, which is its documentation's default format.
var saidLines = map[string]struct {
	source, line string
	// event is empty where the line must not be known.
	event  string
	fields map[string]string
}{
	"nginx reset": {"nginx",
		`2026/11/21 07:15:48 [error] 17299#17299: *9 recv() failed (104: Connection reset by peer) while reading response header from upstream, client: 10.244.1.4, server: , request: "POST / HTTP/1.1", upstream: "http://10.96.0.90:80/", host: "10.96.0.91"`,
		"upstream-reset", map[string]string{"request": "POST / HTTP/1.1", "upstream": "http://10.96.0.90:80/"}},
	"nginx closed": {"nginx",
		`2026/11/21 07:15:48 [error] 1#1: *9 upstream prematurely closed connection while reading response header from upstream, client: 10.244.1.4, server: , request: "GET /a?b=c HTTP/1.1", upstream: "http://10.96.0.90:80/a?b=c", host: "web"`,
		"upstream-closed", map[string]string{"request": "GET /a?b=c HTTP/1.1", "upstream": "http://10.96.0.90:80/a?b=c"}},
	"nginx, reset by the client": {"nginx",
		`2026/11/21 07:15:48 [info] 1#1: *9 recv() failed (104: Connection reset by peer) while waiting for request, client: 10.244.1.4, server: 0.0.0.0:8000`, "", nil},
	"nginx, reset in the middle of a response": {"nginx",
		`2026/11/21 07:15:48 [error] 1#1: *9 recv() failed (104: Connection reset by peer) while reading upstream, client: 10.244.1.4, server: , request: "GET / HTTP/1.1", upstream: "http://10.96.0.90:80/", host: "web"`, "", nil},
	"nginx, time-out": {"nginx",
		`2026/11/21 07:15:48 [error] 1#1: *9 upstream timed out (110: Connection timed out) while reading response header from upstream, client: 10.244.1.4, server: , request: "GET / HTTP/1.1", upstream: "http://10.96.0.90:80/", host: "web"`, "", nil},
	"haproxy reset": {"haproxy",
		`10.244.1.4:45858 [21/Nov/2026:07:30:10.734] requests application/upstream 0/0/0/-1/0 502 209 - - SH-- 1/1/0/0/0 0/0 "POST / HTTP/1.1"`,
		"upstream-reset", map[string]string{"backend": "application", "server": "upstream", "status": "502", "state": "SH--"}},
	"haproxy reset, with cookies and captures": {"haproxy",
		`10.244.1.4:45858 [21/Nov/2026:07:30:10.734] requests application/upstream 3/0/+1/-1/4 502 +209 - - SHVN 1/1/0/0/+1 0/0 {web} {} "POST / HTTP/1.1"`,
		"upstream-reset", map[string]string{"backend": "application", "server": "upstream", "status": "502", "state": "SHVN"}},
	"haproxy, well": {"haproxy",
		`10.244.1.4:46358 [21/Nov/2026:07:30:11.530] requests application/upstream 0/0/0/0/0 200 156 - - ---- 1/1/0/0/0 0/0 "POST / HTTP/1.1"`, "", nil},
	"haproxy, server time-out": {"haproxy",
		`10.244.1.4:46358 [21/Nov/2026:07:30:11.530] requests application/upstream 0/0/0/-1/5000 504 218 - - sH-- 1/1/0/0/0 0/0 "POST / HTTP/1.1"`, "", nil},
	"haproxy, the client's text": {"haproxy",
		`10.244.1.4:46358 [21/Nov/2026:07:30:11.530] requests application/upstream 0/0/0/0/0 200 156 - - ---- 1/1/0/0/0 0/0 "GET /502 - - SH-- HTTP/1.1"`, "", nil},
	"envoy termination": {"envoy",
		`[2026-11-21T07:30:10.734Z] "POST / HTTP/1.1" 503 UC 0 95 1 - "-" "Go-http-client/1.1" "5f1b" "10.96.0.91" "10.96.0.90:80"`,
		"upstream-reset", map[string]string{"request": "POST / HTTP/1.1", "status": "503", "flags": "UC"}},
	"envoy termination after retries": {"envoy",
		`[2026-11-21T07:30:10.734Z] "POST / HTTP/1.1" 503 URX,UC 0 95 1 - "-" "-" "5f1b" "10.96.0.91" "10.96.0.90:80"`,
		"upstream-reset", map[string]string{"request": "POST / HTTP/1.1", "status": "503", "flags": "URX,UC"}},
	"envoy, no healthy upstream": {"envoy",
		`[2026-11-21T07:30:10.734Z] "POST / HTTP/1.1" 503 UH 0 19 0 - "-" "-" "5f1b" "10.96.0.91" "-"`, "", nil},
	"coredns, upstream time-out": {"coredns",
		`[ERROR] plugin/errors: 2 attempt-25.example.com. A: read udp 10.244.1.2:33803->203.0.113.99:53: i/o timeout`,
		"upstream-timeout", map[string]string{"name": "attempt-25.example.com.", "type": "A", "upstream": "203.0.113.99:53"}},
	"coredns, upstream refuses": {"coredns",
		`[ERROR] plugin/errors: 2 example.com. AAAA: read udp 10.244.1.2:33803->203.0.113.99:53: read: connection refused`,
		"servfail", map[string]string{"name": "example.com.", "type": "AAAA", "reason": "read udp 10.244.1.2:33803->203.0.113.99:53: read: connection refused"}},
	"coredns, another code": {"coredns", `[ERROR] plugin/errors: 3 example.com. A: plugin/kubernetes: not found`, "", nil},
	"coredns, loop": {"coredns",
		`[FATAL] plugin/loop: Loop (127.0.0.1:42719 -> :53) detected for zone ".", see https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO 1016734182544005640.651710760352385520."`,
		"loop", map[string]string{"upstream": ":53", "zone": "."}},
	"coredns, a forced loop warning": {"coredns", `[WARNING] plugin/loop: Loop (127.0.0.1:42719 -> :53) detected for zone "."`, "", nil},
	"coredns, answer": {"coredns",
		`[INFO] 10.244.1.3:35201 - 9042 "A IN example.com.corp.example. udp 46 false 512" NOERROR qr,aa,rd 80 0.000152s`,
		"answer", map[string]string{"client": "10.244.1.3", "type": "A", "name": "example.com.corp.example.", "domain": "corp.example.", "transport": "udp", "rcode": "NOERROR"}},
	"coredns, a reload": {"coredns", `[INFO] plugin/reload: Running configuration SHA512 = 591cf328`, "", nil},
	"one program's words from another": {"haproxy",
		`[2026-11-21T07:30:10.734Z] "POST / HTTP/1.1" 503 UC 0 95 1 - "-" "-" "5f1b" "10.96.0.91" "10.96.0.90:80"`, "", nil},
}

func TestKnownLines(t *testing.T) {
	for name, said := range saidLines {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			log, ok := Recognize(said.source, said.line)
			g.Expect(ok).To(Equal(said.event != ""))
			g.Expect(log.Event).To(Equal(said.event))
			g.Expect(log.Fields).To(Equal(said.fields))
		})
	}
}
