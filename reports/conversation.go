package reports

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports/packets"
)

const (
	// mostRows is how many packets of an attempt are shown.
	mostRows = 40
	// slack is by how much the clocks of a capture and of a probe may differ.
	slack = 5 * time.Millisecond
)

// conversation is a failing attempt, packet by packet.
type conversation struct {
	Variant, Lane, On string
	Protocol          string
	Client, Server    string
	// Attempt says which one it was, or is empty where the flow was chosen by what is remarkable in it.
	Attempt string
	Rows    []packetRow
}

// packetRow is a packet, or (with Between) what stands in place of some.
type packetRow struct {
	At, Text, Note, Between string
	Out                     bool
}

// conversations shows one failing attempt of each variant: of its first lane, under the fault.
func (d Data) conversations(variants []variant) []conversation {
	var all []conversation
	for _, v := range variants {
		if len(v.Lanes) == 0 {
			continue
		}
		first := v.Lanes[0]
		fault := first.phase("fault")
		i := slices.IndexFunc(d.Evidence, func(f EvidenceFile) bool { return f.Lane == first.Name && f.Phase == "fault" && len(f.Raw) > 0 })
		if fault == nil || i < 0 {
			continue
		}
		flows, err := packets.Read(d.Evidence[i].Raw)
		if err != nil && len(flows) == 0 {
			continue // it is offered as a file all the same
		}
		// Times of a lane count from its start.
		flow, sample := choose(flows, v.Spec.Symptom, fault.Samples, d.moment(first.Start))
		if flow == nil {
			continue
		}
		c := conversation{
			Variant: v.Name, Lane: first.Name, On: d.Evidence[i].On, Protocol: flow.Protocol, Client: flow.Client.String(), Server: flow.Server.String(),
		}
		for _, r := range flow.Rows(mostRows) {
			c.Rows = append(c.Rows, packetRow{since(r.At), r.Text, r.Note, r.Between, r.Out})
		}
		if sample != nil {
			c.attempt(*flow, *sample, after(d.moment(first.Start), sample.Start+sample.Took))
		}
		all = append(all, c)
	}
	return all
}

// attempt tells of the attempt that the flow belongs to, and of a silence at its end.
func (c *conversation) attempt(flow packets.Flow, s history.Sample, end time.Time) {
	c.Attempt = fmt.Sprintf("the attempt of %s that began at %s took %s", s.Probe, units.Seconds(s.Start), units.Seconds(s.Took))
	if s.Error != "" {
		c.Attempt += " and failed: " + s.Error
	}
	last := flow.Packets[len(flow.Packets)-1].At
	if silent := end.Sub(last); silent > 100*time.Millisecond {
		at := end.Sub(flow.Packets[0].At)
		c.Rows = append(c.Rows, packetRow{At: since(at), Between: fmt.Sprintf("no packet for %s, then the attempt ended", units.Seconds(silent.Seconds()))})
	}
}

// moment is a time of the history as a time of day.
func (d Data) moment(t float64) time.Time {
	start, _ := time.Parse(time.RFC3339Nano, d.Run.Start)
	return after(start, t)
}

func after(start time.Time, seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// choose finds the flow of an attempt that shows the symptom: by its ports where the attempt tells them, else by its time.
// Where no attempt shows it, the first flow with something remarkable is taken.
func choose(flows []packets.Flow, symptom scenario.Symptom, samples []history.Sample, start time.Time) (*packets.Flow, *history.Sample) {
	for i, s := range samples {
		if s.Probe != symptom.Probe || !judge.Shows(symptom.Attempt, s) {
			continue
		}
		from, to := after(start, s.Start).Add(-slack), after(start, s.Start+s.Took).Add(slack)
		var own []packets.Flow
		ends := endpoints(s.Detail + " " + s.Error)
		for _, f := range flows {
			if f = f.Within(from, to); len(f.Packets) > 0 && slices.Contains(ends, f.Client) {
				return &f, &samples[i]
			}
		}
		for _, f := range flows {
			if begin := f.Packets[0].At; begin.After(from) && begin.Before(to) {
				own = append(own, f.Within(from, to))
			}
		}
		if len(own) == 0 {
			continue
		}
		best := max(slices.IndexFunc(own, packets.Flow.Odd), 0)
		return &own[best], &samples[i]
	}
	for _, f := range flows {
		if f.Odd() {
			return &f, nil
		}
	}
	return nil, nil
}

// since writes the time since the first packet, all rows alike.
func since(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// endpoints finds what looks like ADDRESS:PORT in a text.
func endpoints(text string) []netip.AddrPort {
	var found []netip.AddrPort
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:[]", r) }) {
		if end, err := netip.ParseAddrPort(strings.TrimRight(word, ":.")); err == nil {
			found = append(found, end)
		}
	}
	return found
}
