package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
)

// event is one of a lane in its phase.
func event(kind, phase string) history.Event {
	return history.Event{T: 6.91, Lane: "forced/use-vc", Phase: phase, Kind: kind}
}

func sample(phase string, took float64, err string) history.Event {
	e := event(history.KindSample, phase)
	e.Sample = &history.Sample{Probe: "lookup", Took: took, Error: err}
	return e
}

func TestLinesOfALog(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	p := newProgress(&out, false)
	p.column = 13
	p.watch(event(history.PhaseBegin, "remedy/use-vc"))
	p.status("forced/use-vc", "remedy/use-vc: dns-config")
	p.watch(sample("remedy/use-vc", 0.004, ""))
	p.watch(sample("remedy/use-vc", 5.01, "time-out"))
	p.watch(event(history.PhaseEnd, "remedy/use-vc"))
	broken := event(history.KindError, "relapse/use-vc")
	broken.Text = "one\ntwo"
	p.watch(broken)
	p.end()
	g.Expect(out.String()).To(Equal("   6.9s  forced/use-vc  remedy    2 × lookup, p50 4 ms, 1 failed\n" +
		"   6.9s  forced/use-vc  relapse   error: one two\n"))
}

func TestSilence(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	p := newProgress(&out, true)
	p.watch(event(history.PhaseBegin, "fault"))
	p.watch(event(history.PhaseEnd, "fault"))
	p.end()
	g.Expect(out.String()).To(BeEmpty())
}

func TestTheBlockFitsTheTerminal(t *testing.T) {
	g := NewWithT(t)
	p := &progress{screen: &screen{}, lanes: map[string]*atWork{}, column: 13}
	g.Expect(p.rows(0, 80, 24)).To(BeEmpty(), "nothing is under way")
	for _, lane := range []string{"forced/one", "forced/two", "forced/three", "forced/four"} {
		p.lanes[lane] = &atWork{phase: "fault", doing: "fault: waiting until\n" + strings.Repeat("pairs of hold-pairs ", 9)}
	}
	p.lanes["forced/done"] = &atWork{phase: "restored"}
	for _, size := range [][2]int{{80, 24}, {60, 24}, {20, 24}, {120, 4}} {
		rows := p.rows(3*time.Second, size[0], size[1])
		g.Expect(len(rows)).To(BeNumerically("<", size[1]))
		for _, row := range rows {
			g.Expect(utf8.RuneCountInString(row)).To(BeNumerically("<", size[0]), row)
			g.Expect(row).NotTo(ContainSubstring("\n"))
			g.Expect(row).NotTo(ContainSubstring("done"))
		}
	}
	rows := p.rows(3*time.Second, 120, 24)
	g.Expect(rows).To(HaveLen(5))
	g.Expect(rows[0]).To(HavePrefix("      …  forced/four    fault     waiting until pairs of"))
	g.Expect(rows[4]).To(Equal("   3.0s  4 lanes running; Ctrl-C ends the run and undoes everything"))
}

func TestCommandCanBeTypedAgain(t *testing.T) {
	g := NewWithT(t)
	f := runFlags{clusterFlags: clusterFlags{cluster: "lab"}, proxy: "iptables", variants: []string{"forced"}, repeat: 9, seed: 7, timeout: defaultTimeout}
	g.Expect(f.command("dns-5s")).To(Equal(strings.Fields("relapse run dns-5s --proxy iptables --variant forced --repeat 9 --seed 7")))

	f = runFlags{clusterFlags: clusterFlags{cluster: "kind", cni: "plain"}, proxy: "nftables", seed: 7, timeout: forever, pauseAt: "fault"}
	g.Expect(f.command("dns-5s")).To(Equal(strings.Fields("relapse run dns-5s --proxy nftables --cluster kind --cni plain --pause-at fault --seed 7")))
	f.image, f.images, f.allowEgress, f.anyObject, f.timeout = "node:1", "archives", true, true, defaultTimeout
	g.Expect(f.command("dns-5s")).To(Equal(strings.Fields("relapse run dns-5s --proxy nftables --cluster kind --cni plain --node-image node:1 " +
		"--images archives --allow-egress --allow-any-object --pause-at fault --timeout 5m0s --seed 7")))
	f.cluster, f.pauseAt = "kind/dev", ""
	g.Expect(f.command("dns-5s")).To(Equal(strings.Fields("relapse run dns-5s --proxy nftables --cluster kind/dev --seed 7")), "it is that cluster's affair")
	f.jobs = 3
	g.Expect(f.oneCommand("dns-5s")).To(Equal(strings.Fields("relapse run dns-5s --proxy nftables --cluster kind/dev --seed 7 --jobs 3")))
}

func TestACommandOfSeveralCanBeTypedAgain(t *testing.T) {
	g := NewWithT(t)
	f := runFlags{clusterFlags: clusterFlags{cluster: "lab"}, proxy: "iptables", seed: 7, jobs: 6, timeout: defaultTimeout, labels: []string{"dns", "nat"}}
	g.Expect(f.suiteCommand(nil)).To(Equal(strings.Fields("relapse run --all --proxy iptables --seed 7 --label dns --label nat --jobs 6")))
	f.labels = nil
	g.Expect(f.suiteCommand([]string{"a", "b"})).To(Equal(strings.Fields("relapse run a b --proxy iptables --seed 7 --jobs 6")))
}
