package main

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/relapse-k8s/relapse/clusters/lab/components/netnstest"
)

func TestLag(t *testing.T) {
	zone := func(name, settings string) string {
		return name + ":5353 {\n\tbind 127.0.0.1\n\tlag {\n\t\t" + settings + "\n\t}\n\ttemplate IN A {\n\t\tanswer \"{{ .Name }} 60 IN A 192.0.2.7\"\n\t}\n}\n"
	}
	netnstest.Run(t, func(t *testing.T) {
		server := start(t, zone("slow.test", "delay 300ms")+zone("silent.test", "silent")+zone("late.test", "appears 100ms")+zone("now.test", "delay 0s"))
		server.expect(t, `{"synced":0}`)
		began := time.Now()
		if got := ask(dns.TypeA, "slow.test."); got != "NOERROR A 192.0.2.7" || time.Since(began) < 300*time.Millisecond {
			t.Errorf("slow: got %q after %s", got, time.Since(began))
		}
		if got := ask(dns.TypeA, "now.test."); got != "NOERROR A 192.0.2.7" {
			t.Errorf("now: got %q", got)
		}
		query := new(dns.Msg).SetQuestion("silent.test.", dns.TypeA)
		if reply, _, err := (&dns.Client{Timeout: 200 * time.Millisecond}).Exchange(query, "127.0.0.1:5353"); err == nil {
			t.Errorf("silent: got %s", reply)
		}
		query = new(dns.Msg).SetQuestion("a.late.test.", dns.TypeA)
		reply, _, err := (&dns.Client{Timeout: 2 * time.Second}).Exchange(query, "127.0.0.1:5353")
		if err != nil || reply.Rcode != dns.RcodeNameError || len(reply.Ns) != 1 || reply.Ns[0].(*dns.SOA).Minttl != 3600 {
			t.Errorf("late: got %s, %v", reply, err)
		}
		eventually(t, answer{dns.TypeA, "a.late.test.", "NOERROR A 192.0.2.7"})
		server.end(t)
	})
}
