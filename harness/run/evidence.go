package run

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// Bounds of what is captured: packets per phase, and bytes of each.
const (
	capturePackets = 2000
	captureBytes   = 256
)

// longestName leaves room for an ending: file names have up to 255 bytes.
const longestName = 240

// fileName joins the names of a lane, a phase and a subject. A name that is too long ends in its hash.
func fileName(parts ...string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/ :*?\"<>|", r) {
			return '-'
		}
		return r
	}, strings.Join(parts, "_"))
	if len(name) > longestName {
		sum := sha256.Sum256([]byte(name))
		name = strings.ToValidUTF8(name[:longestName-17], "") + fmt.Sprintf("_%x", sum[:8])
	}
	return name
}

// collect keeps the output of the scenario's commands.
func (l *lane) collect(ctx context.Context, p plan.Phase) error {
	if !p.Collects {
		return nil
	}
	for _, command := range l.Scenario.Evidence {
		places, err := l.site.Resolve(command.On)
		if err != nil {
			return err
		}
		for _, place := range places {
			conn, err := l.site.Agent(place)
			if err != nil {
				return err
			}
			output, err := readers.RunCommand.Call(ctx, conn, command.Run, nil)
			if err != nil {
				return err
			}
			if err := l.exhibit(clusters.Exhibit{Title: strings.Join(command.Run, " "), On: place, Text: output}); err != nil {
				return err
			}
		}
	}
	return l.collectExhibits(ctx, p)
}

// collectExhibits keeps what the cluster can show by itself.
func (l *lane) collectExhibits(ctx context.Context, p plan.Phase) error {
	witness, ok := l.site.Cluster.(clusters.Witness)
	if !ok {
		return nil
	}
	var pods []string
	if p.Kind == "fault" {
		pods = l.symptomPlaces()
	}
	exhibits, err := witness.Witness(ctx, pods)
	if err != nil {
		return err
	}
	for _, e := range exhibits {
		if err := l.exhibit(e); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) exhibit(e clusters.Exhibit) error {
	name := fileName(l.name, l.phase, e.On, e.Title) + ".txt"
	if err := os.WriteFile(filepath.Join(l.dir, rundir.EvidenceDir, name), []byte(e.Text), 0o644); err != nil {
		return err
	}
	l.add(history.Event{Kind: history.KindEvidence, Evidence: &history.Evidence{Title: e.Title, On: e.On, File: name}})
	return nil
}

// symptomPlaces are the pods from which the symptom's probe makes its attempts.
func (l *lane) symptomPlaces() []string {
	for _, probe := range l.Scenario.Probes {
		if probe.ID == l.variant.Symptom.Probe {
			if places, err := l.site.Resolve(probe.From); err == nil {
				return places
			}
		}
	}
	return nil
}

// capture keeps the packets of the pod that has the symptom, until the returned function is called.
func (l *lane) capture(ctx context.Context, p plan.Phase) (stop func()) {
	nothing := func() {}
	if !p.Captures {
		return nothing
	}
	if places := l.symptomPlaces(); len(places) > 0 {
		return l.captureAt(ctx, p.String(), places[0])
	}
	return nothing
}

func (l *lane) captureAt(ctx context.Context, phase, place string) (stop func()) {
	note := func(err error) { l.add(history.Event{Kind: history.KindNote, Text: "capture: " + err.Error()}) }
	name := fileName(l.name, phase, place) + ".pcap"
	file, err := os.Create(filepath.Join(l.dir, rundir.EvidenceDir, name))
	if err != nil {
		note(err)
		return func() {}
	}
	writer := pcapgo.NewWriterNanos(file)
	if err := writer.WriteFileHeader(captureBytes, layers.LinkTypeEthernet); err != nil {
		note(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(done)
		defer file.Close()
		config := readers.Capturing{Link: "eth0", Snap: captureBytes, Most: capturePackets}
		var writeErr error
		seen, err := readers.Capture.Call(ctx, l.site.Cluster.Agent(place), config, func(p readers.Packet) {
			if writeErr == nil {
				writeErr = writer.WritePacket(gopacket.CaptureInfo{Timestamp: p.Time, CaptureLength: len(p.Data), Length: p.Length}, p.Data)
			}
		})
		if err := errors.Join(err, writeErr); err != nil {
			note(err)
			return
		}
		title := fmt.Sprintf("capture of eth0, %d packets in %s", seen, time.Since(began).Round(time.Millisecond))
		if seen > capturePackets {
			title += fmt.Sprintf(" (the first %d are kept)", capturePackets)
		}
		l.add(history.Event{Phase: phase, Kind: history.KindEvidence, Evidence: &history.Evidence{Title: title, On: place, File: name}})
	}()
	return func() { cancel(); <-done }
}
