package probes

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// TestMain makes the test binary the process of a lookup, as the agent is.
func TestMain(m *testing.M) {
	if len(os.Args) != 5 || os.Args[1] != "lookup-when-told" {
		os.Exit(m.Run())
	}
	if os.Args[2] == "crash-early" {
		fmt.Fprintln(os.Stderr, "it crashed early")
		os.Exit(3)
	}
	if os.Args[2] == "127.0.0.1" {
		if answer, err := LookUpWhenTold(context.Background(), os.Stdin, os.Stdout, os.Args[2], os.Args[3], os.Args[4]); err != nil || json.NewEncoder(os.Stdout).Encode(answer) != nil {
			os.Exit(1)
		}
		return
	}
	fmt.Println()
	if _, err := fmt.Scanln(); err != nil && err.Error() != "unexpected newline" {
		os.Exit(1)
	}
	answer := Answer{Addresses: []string{"127.0.0.1"}, Took: time.Nanosecond}
	switch os.Args[2] {
	case "crash":
		fmt.Fprintln(os.Stderr, "it crashed")
		os.Exit(3)
	case "babble":
		fmt.Println("it found nothing")
		return
	case "hang":
		time.Sleep(time.Hour)
	}
	if json.NewEncoder(os.Stdout).Encode(answer) != nil {
		os.Exit(1)
	}
}

func TestLookupHoldsTheAnswerAgainstWhatIsExpected(t *testing.T) {
	const none = "lookup web: no such host"
	for _, c := range []struct {
		expect []string
		answer Answer
		want   string
	}{
		{nil, Answer{Addresses: []string{"10.1.2.3"}}, ""},
		{nil, Answer{Error: none, NotFound: true}, none},
		{[]string{"10.1.2.3"}, Answer{Addresses: []string{"10.1.2.3"}}, ""},
		{[]string{"10.1.2.3"}, Answer{Addresses: []string{"10.1.2.4"}}, "lookup of web: the answer is 10.1.2.4, expected: 10.1.2.3"},
		{[]string{"10.1.2.3"}, Answer{Addresses: []string{"10.1.2.3", "10.1.2.4"}}, "lookup of web: the answer is 10.1.2.3 10.1.2.4, expected: 10.1.2.3"},
		{[]string{"fd00:0::1", "10.1.2.3"}, Answer{Addresses: []string{"10.1.2.3", "fd00::1", "10.1.2.3"}}, ""},
		{[]string{"10.1.2.3"}, Answer{Error: none, NotFound: true}, none},
		{[]string{nxdomain}, Answer{Error: none, NotFound: true}, ""},
		{[]string{nxdomain}, Answer{Error: "lookup web: server misbehaving"}, "lookup web: server misbehaving"},
		{[]string{nxdomain}, Answer{Addresses: []string{"10.1.2.3"}}, "lookup of web: the answer is 10.1.2.3, expected: nxdomain"},
	} {
		g := NewWithT(t)
		err := (&Lookup{Name: "web", Expect: c.expect}).check(c.answer)
		if c.want == "" {
			g.Expect(err).NotTo(HaveOccurred())
		} else {
			g.Expect(err).To(MatchError(c.want))
		}
	}
}

func TestLookupRefusesSettings(t *testing.T) {
	g := NewWithT(t)
	invalid := func(p *Lookup) error { return p.Validate() }
	g.Expect(invalid(&Lookup{SourcePort: 2000})).To(MatchError("sourcePort needs family: ipv4"))
	g.Expect(invalid(&Lookup{Expect: []string{"web"}})).To(MatchError(`expect: "web" must be an IP address; or expect: [nxdomain]`))
	g.Expect(invalid(&Lookup{Expect: []string{"10.1.2.3", "nxdomain"}})).To(MatchError(ContainSubstring(`"nxdomain" must be`)))
	g.Expect(invalid(&Lookup{Expect: []string{"fd00::1"}, Family: "ipv4"})).To(MatchError(ContainSubstring("cannot be the answer")))
	g.Expect(invalid(&Lookup{Expect: []string{"fd00::1", "10.1.2.3"}})).To(Succeed())
	g.Expect(invalid(&Lookup{Expect: []string{"nxdomain"}})).To(Succeed())
}

func TestLookupsProcess(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	look := func(name string) Sample {
		return attempt(t.Context(), &Lookup{Name: name, Expect: []string{"127.0.0.1"}, ports: &freshPorts{}}, 0, 10*time.Second)
	}
	found := look("127.0.0.1")
	g.Expect(found.Error).To(BeEmpty())
	g.Expect(found.Seen).To(Equal("127.0.0.1"))
	begin := time.Now()
	slow := look("started-slowly")
	g.Expect(slow.Error).To(BeEmpty())
	g.Expect(slow.Took).To(Equal(time.Nanosecond), "only the lookup counts, not the start of the process")
	g.Expect(slow.Start.Sub(begin)).To(BeNumerically(">", 0))
	g.Expect(look("crash").Error).To(Equal("lookup of crash: exit status 3: it crashed"))
	g.Expect(look("crash-early").Error).To(Equal("lookup of crash-early: its process ended before it was ready: exit status 3: it crashed early"))
	g.Expect(look("babble").Error).To(HavePrefix("lookup of babble: invalid character"))
	hung := attempt(t.Context(), &Lookup{Name: "hang", ports: &freshPorts{}}, 0, 100*time.Millisecond)
	g.Expect(hung.Error).To(Equal("lookup of hang: context deadline exceeded"))
	g.Expect(hung.Took).To(BeNumerically(">=", 100*time.Millisecond))
}

func TestLookupByGosResolver(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	g.Expect(os.WriteFile(conf, []byte("nameserver 127.0.0.1\nsearch missing.test\noptions ndots:2\n"), 0o644)).To(Succeed())
	nstest.Must(t, "mount --bind "+conf+" /etc/resolv.conf")
	asked := dnsServer(t)
	g.Expect(LookUp(t.Context(), "web.test", "ipv4", "go").Addresses).To(Equal([]string{"10.0.0.1"}))
	g.Expect(<-asked).To(Equal("web.test.missing.test."), "it reads resolv.conf")
	g.Expect((&Lookup{SourcePort: 2000, Family: "ipv4", Resolver: "go"}).Validate()).To(MatchError(ContainSubstring("needs resolver: libc")))
}
