package hold

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// BenchmarkForward measures UDP packets per second from client to server through the router: without a hold, beside a
// hold that catches another port, and through a hold that passes all at once. One run, in turns, as ratios.
func BenchmarkForward(b *testing.B) {
	l := newLab(b)
	g := NewWithT(b)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	g.Expect(in.SetReadBuffer(4 << 20)).To(Succeed())
	to := netip.AddrPortFrom(backendA, dnsPort)
	// Windows of packets, each waited for: no losses, whatever the speed.
	const window, windows = 64, 40
	buf, text := make([]byte, 2048), make([]byte, 64)
	round := func() time.Duration {
		g.Expect(in.SetReadDeadline(time.Now().Add(limit))).To(Succeed())
		start := time.Now()
		for range windows {
			for range window {
				if _, err := out.WriteToUDPAddrPort(text, to); err != nil {
					b.Fatal(err)
				}
			}
			for range window {
				if _, _, err := in.ReadFromUDPAddrPort(buf); err != nil {
					b.Fatal(err)
				}
			}
		}
		return time.Since(start)
	}
	with := func(port uint16) func() time.Duration {
		return func() time.Duration {
			spec := udpSpec(Pass{})
			spec.Match = Match{Proto: unix.IPPROTO_UDP, DstPort: port}
			h, err := Start(l.ctx, spec)
			g.Expect(err).NotTo(HaveOccurred())
			defer func() { g.Expect(h.Close()).To(Succeed()) }()
			return round()
		}
	}
	round() // warm
	var none, beside, through time.Duration
	rounds := 0
	for b.Loop() {
		none += round()
		beside += with(dnsPort + 1)()
		through += with(dnsPort)()
		rounds++
	}
	pps := func(d time.Duration) float64 { return float64(rounds*window*windows) / d.Seconds() }
	b.ReportMetric(pps(none), "pps-none")
	b.ReportMetric(pps(beside)/pps(none), "beside/none")
	b.ReportMetric(pps(through)/pps(none), "through/none")
}
