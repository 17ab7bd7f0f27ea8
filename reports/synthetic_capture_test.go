package reports

import (
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/reports/packets/packetstest"
)

// first is the first attempt of a lane in a phase.
func (s *synth) first(lane, phase string) history.Sample {
	for _, e := range s.events {
		if e.Lane == lane && e.Phase == phase && e.Sample != nil {
			return *e.Sample
		}
	}
	return history.Sample{}
}

// lostLookup is a capture of a lookup, begun at a time of the history, whose second packet was lost: it is asked again after five
// seconds. Before it another lookup goes well.
func lostLookup(t *testing.T, start string, began float64) []byte {
	t.Helper()
	begin, err := time.Parse(time.RFC3339Nano, start)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	const name, client, server = "web.default.svc.cluster.local", "10.244.1.3:41234", "10.96.0.10:53"
	a, aaaa := packetstest.Query(4711, name, layers.DNSTypeA), packetstest.Query(4712, name, layers.DNSTypeAAAA)
	var sent []packetstest.Sent
	add := func(at float64, from, to string, message *layers.DNS) {
		sent = append(sent, packetstest.Sent{At: begin.Add(time.Duration((began + at) * float64(time.Second))), From: from, To: to, DNS: message})
	}
	earlier := packetstest.Query(1, name, layers.DNSTypeA)
	add(-0.2, "10.244.1.3:40999", server, earlier)
	add(-0.199, server, "10.244.1.3:40999", packetstest.Answer(earlier, "10.96.1.1"))
	for _, again := range []float64{0.0004, 5.0004} {
		add(again, client, server, a)
		add(again+0.0001, client, server, aaaa)
		add(again+0.0008, server, client, packetstest.Answer(a, "10.96.1.1"))
	}
	add(5.0013, server, client, packetstest.Answer(aaaa, ""))
	return packetstest.Capture(sent...)
}

func TestTheFailingAttemptIsFoundByItsTime(t *testing.T) {
	g := NewWithT(t)
	d := dnsRun(t, false)
	all := d.conversations(d.variants())
	g.Expect(all).To(HaveLen(1))
	g.Expect(all[0].Client).To(Equal("10.244.1.3:41234"))
	g.Expect(all[0].Attempt).To(HavePrefix("the attempt of lookup that began at "))
	g.Expect(all[0].Rows[3].Between).To(Equal("5.00 s without a packet"))
}

func TestTheFailingAttemptIsFoundByItsPorts(t *testing.T) {
	g := NewWithT(t)
	d := dnsRun(t, false)
	for i := range d.Events {
		// The earlier lookup's socket, though it was not at this time.
		if s := d.Events[i].Sample; s != nil {
			s.Detail = "10.244.1.3:40999 > 10.96.0.10:53"
			s.Start -= 0.3
			s.Took += 0.3
		}
	}
	g.Expect(d.conversations(d.variants())[0].Client).To(Equal("10.244.1.3:40999"))
}

func TestWithoutAFailingAttemptWhatIsRemarkableIsShown(t *testing.T) {
	g := NewWithT(t)
	d := dnsRun(t, false)
	d.Scenario.Variants[1].Symptom.Attempt.Took.Min = seconds(60)
	all := d.conversations(d.variants())
	g.Expect(all).To(HaveLen(1))
	g.Expect(all[0].Client).To(Equal("10.244.1.3:41234"))
	g.Expect(all[0].Attempt).To(BeEmpty())
}
