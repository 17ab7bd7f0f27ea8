package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/relapse-k8s/relapse/clusters/lab/components/netnstest"
)

const corefile = `.:5353 {
	bind 127.0.0.1
	errors
	health 127.0.0.1:8080 {
		lameduck 5s
	}
	ready 127.0.0.1:8181
	kubernetes cluster.local in-addr.arpa {
		endpoint http://127.0.0.1:16443
		pods verified
		fallthrough in-addr.arpa
	}
}
`

const before = `{"revision":1,"namespaces":[{"metadata":{"name":"default"}}],"services":[
	{"metadata":{"name":"web"},"spec":{"clusterIP":"10.96.0.10","ports":[{"name":"http","port":80}]}},
	{"metadata":{"name":"db"},"spec":{"clusterIP":"None","ports":[{"name":"sql","port":5432}]}}],
	"endpointSlices":[{"metadata":{"name":"db-1","labels":{"kubernetes.io/service-name":"db"}},"ports":[{"name":"sql","port":5432}],
		"endpoints":[{"addresses":["10.244.1.5"],"hostname":"db-0"},{"addresses":["10.244.2.6"],"conditions":{"ready":false}}]}],
	"pods":[{"metadata":{"name":"done"},"status":{"phase":"Running","podIP":"10.244.3.3"}}]}`

const after = `{"revision":2,"namespaces":[{"metadata":{"name":"default"}}],"services":[
	{"metadata":{"name":"db"},"spec":{"clusterIP":"None","ports":[{"name":"sql","port":5432}]}},
	{"metadata":{"name":"new"},"spec":{"clusterIP":"10.96.0.20","ports":[{"name":"http","port":80}]}}],
	"endpointSlices":[{"metadata":{"name":"db-1","labels":{"kubernetes.io/service-name":"db"}},"ports":[{"name":"sql","port":5432}],
		"endpoints":[{"addresses":["10.244.1.5"],"hostname":"db-0"},{"addresses":["10.244.2.6"],"hostname":"db-1"}]}],
	"pods":[{"metadata":{"name":"done"},"status":{"phase":"Succeeded","podIP":"10.244.3.3"}}]}`

// answer is a question and all that a person would look at in its answer.
type answer struct {
	kind       uint16
	name, want string
}

func TestAnswersFollowTheStates(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		server := start(t, corefile, "--api", "127.0.0.1:16443")
		server.send(t, before)
		server.expect(t, `{"synced":1}`)
		// No waiting here: CoreDNS does not listen before it knows all of the first state.
		for _, a := range []answer{
			{dns.TypeA, "web.default.svc.cluster.local.", "NOERROR A 10.96.0.10"},
			{dns.TypeAAAA, "web.default.svc.cluster.local.", "NOERROR"},
			{dns.TypeSRV, "_http._tcp.web.default.svc.cluster.local.", "NOERROR SRV 80 web.default.svc.cluster.local."},
			{dns.TypePTR, "10.0.96.10.in-addr.arpa.", "NOERROR PTR web.default.svc.cluster.local."},
			{dns.TypePTR, "5.1.244.10.in-addr.arpa.", "NOERROR PTR db-0.db.default.svc.cluster.local."},
			{dns.TypeA, "db.default.svc.cluster.local.", "NOERROR A 10.244.1.5"},
			{dns.TypeSRV, "_sql._tcp.db.default.svc.cluster.local.", "NOERROR SRV 5432 db-0.db.default.svc.cluster.local."},
			{dns.TypeA, "10-244-3-3.default.pod.cluster.local.", "NOERROR A 10.244.3.3"},
			{dns.TypeA, "new.default.svc.cluster.local.", "NXDOMAIN"},
			{dns.TypeA, "web.elsewhere.svc.cluster.local.", "NXDOMAIN"},
		} {
			if got := ask(a.kind, a.name); got != a.want {
				t.Errorf("%s %s: got %q, want %q", dns.TypeToString[a.kind], a.name, got, a.want)
			}
		}

		server.send(t, after)
		server.expect(t, `{"synced":2}`)
		for _, a := range []answer{
			{dns.TypeA, "new.default.svc.cluster.local.", "NOERROR A 10.96.0.20"},
			{dns.TypeA, "web.default.svc.cluster.local.", "NXDOMAIN"},
			{dns.TypeA, "db.default.svc.cluster.local.", "NOERROR A 10.244.1.5 A 10.244.2.6"},
			{dns.TypeA, "10-244-3-3.default.pod.cluster.local.", "NXDOMAIN"},
		} {
			eventually(t, a)
		}
		server.send(t, `{"revision":3,"pods":[{}]}`)
		server.expect(t, `{"revision":3,"error":"state of revision 3: pods[0] has no metadata.name"}`)
		server.end(t)
	})
}

func TestWithoutAPI(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		server := start(t, ".:5353 {\n\tbind 127.0.0.1\n\thosts {\n\t\t192.0.2.7 outside.example\n\t}\n}\n")
		server.expect(t, `{"synced":0}`)
		if got, want := ask(dns.TypeA, "outside.example."), "NOERROR A 192.0.2.7"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		server.end(t)
	})
}

func TestPluginThatIsNotCompiledIn(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		server := start(t, ".:5353 {\n\tetcd\n}\n")
		if err := <-server.ended; err == nil || !strings.Contains(err.Error(), "etcd") {
			t.Errorf("ended with %v, want an error that names the plugin", err)
		}
	})
}

// ask is the answer as text: the code, then each record's type and value, in an order of their own.
func ask(kind uint16, name string) string {
	query := new(dns.Msg).SetQuestion(name, kind)
	reply, _, err := (&dns.Client{Timeout: 2 * time.Second}).Exchange(query, "127.0.0.1:5353")
	if err != nil {
		return err.Error()
	}
	var records []string
	for _, record := range reply.Answer {
		text := dns.TypeToString[record.Header().Rrtype] + " "
		switch r := record.(type) {
		case *dns.A:
			text += r.A.String()
		case *dns.PTR:
			text += r.Ptr
		case *dns.SRV:
			text += fmt.Sprintf("%d %s", r.Port, r.Target)
		}
		records = append(records, text)
	}
	slices.Sort(records)
	return strings.Join(append([]string{dns.RcodeToString[reply.Rcode]}, records...), " ")
}

// eventually asks until the answer is right: a state is reported when it is sent to CoreDNS, which then files it.
func eventually(t *testing.T, a answer) {
	t.Helper()
	got := ""
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		got = ask(a.kind, a.name)
		return got == a.want, nil
	})
	if err != nil {
		t.Errorf("%s %s: got %q, want %q: %v", dns.TypeToString[a.kind], a.name, got, a.want, err)
	}
}

// running is the command at work in this process, on pipes.
type running struct {
	input   io.WriteCloser
	reports *bufio.Scanner
	ended   chan error
}

func start(t *testing.T, corefile string, args ...string) *running {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(conf, []byte(corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	r := &running{input: inWrite, reports: bufio.NewScanner(outRead), ended: make(chan error, 1)}
	go func() {
		err := run(t.Context(), append([]string{"--conf", conf}, args...), inRead, outWrite)
		_ = outWrite.CloseWithError(err)
		r.ended <- err
	}()
	return r
}

func (r *running) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(r.input, strings.NewReplacer("\n", "", "\t", "").Replace(text)+"\n"); err != nil {
		t.Fatalf("sending %s: %v", text, err)
	}
}

func (r *running) expect(t *testing.T, want string) {
	t.Helper()
	if !r.reports.Scan() {
		t.Fatalf("no report: %v", r.reports.Err())
	}
	if got := r.reports.Text(); got != want {
		t.Fatalf("report %s, want %s", got, want)
	}
}

// end closes the command's input, which must end it.
func (r *running) end(t *testing.T) {
	t.Helper()
	_ = r.input.Close()
	if err := <-r.ended; err != nil {
		t.Errorf("at the end of its input: %v", err)
	}
}
