package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/relapse-k8s/relapse/clusters/lab/components/netnstest"
)

const service = `{"metadata":{"name":"web"},"spec":{"clusterIP":"10.96.0.10","ports":[{"name":"http","port":80,"targetPort":8080}]}}`

func slice(address string) string {
	return fmt.Sprintf(`{"metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
		"ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["%s"],"conditions":{"ready":true}}]}`, address)
}

func line(revision int, services, slices string) string {
	return strings.NewReplacer("\n", "", "\t", "").Replace(
		fmt.Sprintf(`{"revision":%d,"services":[%s],"endpointSlices":[%s]}`, revision, services, slices))
}

// TestNFTables and TestIPTables judge by what a person would look at: the ruleset, as text.
func TestNFTables(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		testRules(t, modeNFTables, []string{"nft", "list", "ruleset"}, []ruleset{
			{service, slice("10.244.1.5"), []string{"map { 0 : 10.244.1.5 . 8080 }"}, []string{"goto reject-chain"}},
			{service, slice("10.244.2.6"), []string{"map { 0 : 10.244.2.6 . 8080 }"}, []string{"goto reject-chain"}},
			{service, "", []string{"10.96.0.10 . tcp . 80", "goto reject-chain"}, nil},
			{"", "", nil, []string{"10.96.0.10"}},
		})
	})
}

func TestIPTables(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		testRules(t, modeIPTables, []string{"iptables-save"}, []ruleset{
			{service, slice("10.244.1.5"), []string{"--to-destination 10.244.1.5:8080", "--mark 0x4000/0x4000"}, []string{"has no endpoints"}},
			{service, slice("10.244.2.6"), []string{"--to-destination 10.244.2.6:8080"}, []string{"10.244.1.5"}},
			{service, "", []string{"-d 10.96.0.10/32 -p tcp -m comment --comment \"default/web:http has no endpoints\"", "-j REJECT"}, []string{"--to-destination"}},
			{"", "", nil, []string{"10.96.0.10"}},
		})
	})
}

// ruleset is a state, and what must and must not be in the kernel once it is reported as synced.
type ruleset struct {
	services, slices string
	want, wantNot    []string
}

func testRules(t *testing.T, mode string, list []string, rulesets []ruleset) {
	if _, err := exec.LookPath(list[0]); err != nil {
		t.Skipf("skipped: %v", err)
	}
	proxy := start(t, mode)
	for i, r := range rulesets {
		report := proxy.send(t, line(i+1, r.services, r.slices))
		if report.Synced != i+1 || report.Error != "" {
			t.Fatalf("state %d: reported %+v", i+1, report)
		}
		got, err := exec.Command(list[0], list[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", list, err, got)
		}
		for _, want := range r.want {
			if !strings.Contains(string(got), want) {
				t.Errorf("state %d: %q is missing from\n%s", i+1, want, got)
			}
		}
		for _, wantNot := range r.wantNot {
			if strings.Contains(string(got), wantNot) {
				t.Errorf("state %d: %q should not be in\n%s", i+1, wantNot, got)
			}
		}
	}
	checkSysctl(t, "nf_conntrack_tcp_timeout_established", "86400")
	checkSysctl(t, "nf_conntrack_tcp_timeout_close_wait", "3600")
	proxy.end(t)
}

// TestFailedSyncIsReported takes away what programs the kernel, and gives it back.
func TestFailedSyncIsReported(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		proxy := start(t, modeNFTables)
		if report := proxy.send(t, line(1, service, slice("10.244.1.5"))); report.Synced != 1 {
			t.Fatalf("reported %+v", report)
		}
		// Without the table, an incremental transaction cannot work.
		if out, err := exec.Command("nft", "delete", "table", "ip", "kube-proxy").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if report := proxy.send(t, line(2, service, slice("10.244.2.6"))); report.Revision != 2 || !strings.Contains(report.Error, "No such file or directory") {
			t.Errorf("after a lost table: reported %+v, want an error", report)
		}
		if report := proxy.send(t, line(3, service, slice("10.244.2.6"))); report.Synced != 3 {
			t.Errorf("after a failure kube-proxy syncs in full, but reported %+v", report)
		}
		if report := proxy.send(t, `{"revision":4,"services":[{}]}`); report.Revision != 4 || report.Error == "" {
			t.Errorf("nameless service: reported %+v, want an error", report)
		}
		proxy.end(t)
	})
}

func checkSysctl(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile("/proc/sys/net/netfilter/" + name)
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("%s is %q (%v), want %s", name, got, err, want)
	}
}

// report is what the command prints.
type report struct {
	Synced   int
	Seconds  float64
	Revision int
	Error    string
}

// running is the command at work in this process, on pipes.
type running struct {
	input   io.WriteCloser
	reports *bufio.Scanner
	ended   chan error
}

func start(t *testing.T, mode string) *running {
	t.Helper()
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	r := &running{input: inWrite, reports: bufio.NewScanner(outRead), ended: make(chan error, 1)}
	go func() {
		err := run(t.Context(), []string{"--mode", mode, "--node-name", "node1", "--node-ip", "192.168.7.1", "--cluster-cidr", "10.244.0.0/16"}, inRead, outWrite)
		_ = outWrite.CloseWithError(err)
		r.ended <- err
	}()
	return r
}

func (r *running) send(t *testing.T, text string) report {
	t.Helper()
	if _, err := io.WriteString(r.input, text+"\n"); err != nil {
		t.Fatalf("sending %s: %v", text, err)
	}
	if !r.reports.Scan() {
		t.Fatalf("no report on %s: %v", text, r.reports.Err())
	}
	var got report
	if err := json.Unmarshal(r.reports.Bytes(), &got); err != nil {
		t.Fatalf("report %q: %v", r.reports.Text(), err)
	}
	return got
}

// end closes the command's input, which must end it.
func (r *running) end(t *testing.T) {
	t.Helper()
	_ = r.input.Close()
	if err := <-r.ended; err != nil {
		t.Errorf("at the end of its input: %v", err)
	}
}
