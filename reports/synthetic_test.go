package reports

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// synth writes the history of a made-up run. It has no clock and no randomness.
type synth struct {
	events []history.Event
	// jitter is a counter from which small differences come.
	jitter int
}

func (s *synth) add(e history.Event) { s.events = append(s.events, e) }

// wobble is a number from 0 to 1 that looks random.
func (s *synth) wobble() float64 {
	s.jitter++
	return float64(s.jitter*7919%1000) / 1000
}

// act is one phase of a lane to be made up.
type act struct {
	Phase string
	// Every is from attempt to attempt; Took is how long one takes.
	Every, Took float64
	Attempts    int
	Error       string
	// Rise is by how much each attempt makes a counter rise.
	Rise map[string]float64
	// Hold is set at the phase's begin and kept.
	Hold map[string]float64
	// Beside is a second probe that goes on well.
	Beside string
	Change string
}

// lane plays acts one after the other.
func (s *synth) lane(name, probe string, start float64, values map[string]float64, acts []act) float64 {
	now := start
	reading := func(t float64, phase, at string) {
		kept := map[string]float64{}
		for k, v := range values {
			kept[k] = v
		}
		s.add(history.Event{T: t, Lane: name, Phase: phase, Kind: history.KindReading, Reading: &history.Reading{Reader: "conntrack", On: "node/node-1", At: at, Values: kept}})
	}
	for _, a := range acts {
		s.add(history.Event{T: now, Lane: name, Phase: a.Phase, Kind: history.PhaseBegin})
		if id, undo := strings.CutPrefix(a.Change, "-"); id != "" {
			action := map[bool]string{true: "undo", false: "apply"}[undo]
			s.add(history.Event{T: now + 0.05, Lane: name, Phase: a.Phase, Kind: history.KindChange, Change: &history.Change{ID: id, Name: id, On: "node/node-1", Action: action}})
		}
		for k, v := range a.Hold {
			values[k] = v
		}
		reading(now+0.1, a.Phase, "begin")
		end := now + 0.15
		for i := range a.Attempts {
			t := now + 0.15 + float64(i)*a.Every
			took := a.Took * (1 + 0.3*s.wobble())
			if a.Took > 0.5 {
				took = a.Took + 0.012*s.wobble()
			}
			for k, v := range a.Rise {
				values[k] += v
			}
			if i%3 == 2 {
				reading(t+0.005, a.Phase, "")
			}
			s.add(history.Event{T: t + took, Lane: name, Phase: a.Phase, Kind: history.KindSample, Sample: &history.Sample{Probe: probe, Start: t, Took: took, Error: a.Error}})
			if a.Beside != "" {
				s.add(history.Event{T: t, Lane: name, Phase: a.Phase, Kind: history.KindSample, Sample: &history.Sample{Probe: a.Beside, Start: t, Took: 0.0004 * (1 + s.wobble())}})
			}
			end = max(end, t+took)
		}
		reading(end+0.05, a.Phase, "end")
		s.add(history.Event{T: end + 0.1, Lane: name, Phase: a.Phase, Kind: history.PhaseEnd})
		now = end + 0.12
	}
	return now
}

// folder writes a run folder.
func folder(t *testing.T, run rundir.Run, events []history.Event, verdict *judge.Verdict, evidence map[string][]byte) string {
	t.Helper()
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(rundir.WriteJSON(dir, rundir.RunFile, run)).To(Succeed())
	file, err := os.Create(filepath.Join(dir, rundir.HistoryFile))
	g.Expect(err).NotTo(HaveOccurred())
	w := history.NewWriter(file, time.Unix(0, 0), nil, nil)
	for _, e := range events {
		w.Add(e)
	}
	g.Expect(w.Close()).To(Succeed())
	if verdict != nil {
		g.Expect(rundir.WriteJSON(dir, rundir.VerdictFile, verdict)).To(Succeed())
	}
	g.Expect(os.Mkdir(filepath.Join(dir, rundir.EvidenceDir), 0o755)).To(Succeed())
	for name, data := range evidence {
		g.Expect(os.WriteFile(filepath.Join(dir, rundir.EvidenceDir, name), data, 0o644)).To(Succeed())
	}
	return dir
}

// read makes the data of a folder, under a name that is the same on every machine.
func read(t *testing.T, dir string, s *scenario.Scenario) Data {
	t.Helper()
	d, err := FromDir(dir, s)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	d.Dir = "runs/" + d.Run.ID
	return d
}

func ptr[T any](v T) *T { return &v }

func seconds(s float64) *units.Duration { return ptr(units.Duration(s * 1e9)) }

// looks is settings of a detector, as reports see them: some type with some words in it.
func looks(key string) scenario.Use {
	return scenario.Use{Name: "counter", Config: json.RawMessage(fmt.Sprintf(`{"reader":"conntrack","on":"nodes","key":%q}`, key))}
}
