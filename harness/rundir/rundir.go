// Package rundir is the folder that a run leaves: run.json first, then history.jsonl and evidence as things happen, then
// verdict.json and report.html. A folder without verdict.json is a crash, and readable all the same.
package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/relapse-k8s/relapse/clusters/offers"
	"github.com/relapse-k8s/relapse/harness/regular"
)

// Names of the files in a run folder.
const (
	RunFile      = "run.json"
	ScenarioFile = "scenario.yaml"
	HistoryFile  = "history.jsonl"
	EvidenceDir  = "evidence"
	VerdictFile  = "verdict.json"
	ReportFile   = "report.html"
	JUnitFile    = "junit.xml"
	// AgreementFile is there where the run was held against another.
	AgreementFile = "agreement.json"
)

// NotAskedFor is why a variant was skipped that a person left out.
const NotAskedFor = "not asked for"

// Run is what is known of a run before it starts: run.json.
type Run struct {
	// ID of the run, unique on this machine.
	ID       string `json:"id"`
	Scenario string `json:"scenario"`
	// Title of the scenario.
	Title string `json:"title"`
	// Digest of the scenario file: sha256:….
	Digest  string `json:"digest"`
	Cluster string `json:"cluster"`
	// Proxy is kube-proxy's mode: nftables or iptables.
	Proxy string `json:"proxy"`
	// Start in RFC 3339, with fractions of a second.
	Start string `json:"start"`
	// Command line, as a person would type it to run this again.
	Command []string `json:"command"`
	Seed    uint64   `json:"seed"`
	// Repeat is the number of attempts asked for with --repeat; 0 means the scenario's own number.
	Repeat int `json:"repeat,omitempty"`
	// Offers is what the cluster can give: name to true or false; and why not.
	Offers map[string]offers.Offer `json:"offers"`
	// Versions of relapse, Go, kernel, kube-proxy, CoreDNS, glibc, tools: name to version.
	Versions map[string]string `json:"versions"`
	// Differences says where the cluster differs from a real one, a sentence each.
	Differences []string `json:"differences"`
	// Variants that are not run, and why.
	Skipped map[string]string `json:"skipped,omitempty"`
	// Netns is the inode of each network namespace, by lane and place: "forced/use-vc node/node-1". Added to while labs start.
	Netns map[string]uint64 `json:"netns,omitempty"`
}

// MakeFolder makes a folder that was not there; two runs may begin in the same second.
func MakeFolder(in, name string) (string, error) {
	if err := os.MkdirAll(in, 0o755); err != nil {
		return "", err
	}
	for try := 1; ; try++ {
		dir := filepath.Join(in, name)
		if try > 1 {
			dir = fmt.Sprintf("%s-%d", dir, try)
		}
		err := os.Mkdir(dir, 0o755)
		if err == nil || !errors.Is(err, os.ErrExist) || try == 1000 {
			return dir, err
		}
	}
}

// WriteJSON writes v to a file of the folder, whole or not at all.
func WriteJSON(dir, name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return WriteFile(dir, name, append(data, '\n'))
}

// WriteFile writes a file of the folder, whole or not at all.
func WriteFile(dir, name string, data []byte) error { return regular.WriteIn(dir, name, data) }

// ReadJSON reads a file of the folder into v.
func ReadJSON(dir, name string, v any) error {
	data, err := regular.ReadIn(dir, name, regular.MaxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
	}
	return nil
}

// ReadScenario reads the scenario's file, whose path it returns too.
func ReadScenario(dir string) (path string, text []byte, err error) {
	text, err = regular.ReadIn(dir, ScenarioFile, regular.MaxScenario)
	return filepath.Join(dir, ScenarioFile), text, err
}
