package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// lag is a plugin of relapse's own, for servers outside of clusters that are slow, silent, or do not have a name yet:
//
//	lag {
//	    delay 200ms    each answer comes so much later
//	    silent         no answer comes
//	    appears 300ms  a name does not exist until so long after it was first asked for
//	}
type lag struct {
	next           plugin.Handler
	zone           string
	delay, appears time.Duration
	silent         bool

	mu    sync.Mutex
	first map[string]time.Time
}

func init() {
	dnsserver.Directives = append([]string{"lag"}, dnsserver.Directives...)
	plugin.Register("lag", setupLag)
}

func setupLag(c *caddy.Controller) error {
	config := dnsserver.GetConfig(c)
	l := &lag{zone: config.Zone, first: map[string]time.Time{}}
	for c.Next() {
		for c.NextBlock() {
			if err := l.set(c.Val(), c.RemainingArgs()); err != nil {
				return plugin.Error("lag", c.Err(err.Error()))
			}
		}
	}
	config.AddPlugin(func(next plugin.Handler) plugin.Handler {
		l.next = next
		return l
	})
	return nil
}

func (l *lag) set(name string, args []string) (err error) {
	switch {
	case name == "silent" && len(args) == 0:
		l.silent = true
	case name == "delay" && len(args) == 1:
		l.delay, err = time.ParseDuration(args[0])
	case name == "appears" && len(args) == 1:
		l.appears, err = time.ParseDuration(args[0])
	default:
		err = fmt.Errorf("%s %v is not a setting", name, args)
	}
	return err
}

// Name is the plugin's.
func (*lag) Name() string { return "lag" }

// ServeDNS passes a question on, later or not at all.
func (l *lag) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	late := time.NewTimer(l.delay)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
		return dns.RcodeServerFailure, ctx.Err()
	}
	if l.silent {
		return dns.RcodeSuccess, nil // which means that an answer has been written
	}
	if state := (request.Request{W: w, Req: r}); !l.there(state.Name()) {
		answer := new(dns.Msg).SetRcode(r, dns.RcodeNameError)
		answer.Authoritative = true
		// Caches keep what does not exist for as long as the zone's SOA record says.
		answer.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: l.zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600},
			Ns:  "ns." + l.zone, Mbox: "hostmaster." + l.zone, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 3600,
		}}
		return dns.RcodeNameError, w.WriteMsg(answer)
	}
	return plugin.NextOrFailure(l.Name(), l.next, ctx, w, r)
}

// there is whether a name exists by now.
func (l *lag) there(name string) bool {
	if l.appears == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first[name].IsZero() {
		l.first[name] = time.Now()
	}
	return time.Since(l.first[name]) >= l.appears
}
