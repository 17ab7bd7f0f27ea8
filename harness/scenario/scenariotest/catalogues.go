// Package scenariotest has small catalogues for tests that need scenarios but neither a kernel nor the real catalogues.
// Their names and settings are like the real ones.
package scenariotest

import (
	"errors"
	"strings"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Sysctl sets a kernel setting.
type Sysctl struct {
	// Key is the setting's name, with dots.
	Key string `json:"key"`
	// Value is what it is set to.
	Value string `json:"value"`
}

// Validate refuses names that are paths.
func (s *Sysctl) Validate() error {
	if strings.Contains(s.Key, "/") {
		return scenario.At("key", errors.New("write the setting's name with dots"))
	}
	return nil
}

// HoldPairs holds packets until their partners came.
type HoldPairs struct {
	// Port is the UDP port of the flows.
	Port uint16 `json:"port" jsonschema:"minimum=1"`
	// Release is how long a packet without a partner is held.
	Release scenario.Duration `json:"release,omitempty"`
	// Order is which packet goes first.
	Order string `json:"order,omitempty" jsonschema:"enum=first,enum=last"`
	// Flows limits the hold to flows to these pods.
	Flows []Flow `json:"flows,omitempty" jsonschema:"minItems=1,maxItems=4"`
}

// Flow is packets to one pod.
type Flow struct {
	// To is the pod's name.
	To string `json:"to" ref:"pod"`
	// Share is how many of them are meant.
	Share *scenario.Percent `json:"share,omitempty"`
}

// DNSConfig alters how pods look names up.
type DNSConfig struct {
	// Options are lines of resolv.conf.
	Options map[string]string `json:"options,omitempty"`
	// Ndots is how many dots a name needs to be tried as it is first.
	Ndots *int `json:"ndots,omitempty" jsonschema:"minimum=0,maximum=15"`
	// Patch is merged into the pod's dnsConfig.
	Patch scenario.Raw `json:"patch,omitempty"`
}

// Validate wants something to alter.
func (c *DNSConfig) Validate() []error {
	if c.Options == nil && c.Ndots == nil && c.Patch == nil {
		return []error{errors.New("nothing to alter: give options, ndots or patch")}
	}
	return nil
}

// Lookup looks a name up.
type Lookup struct {
	// Name to look up.
	Name string `json:"name" jsonschema:"minLength=1,maxLength=253"`
	// Loss is how many packets the probe itself drops.
	Loss scenario.Percent `json:"loss,omitempty"`
}

// Connect opens a TCP connection.
type Connect struct {
	// To is host:port.
	To string `json:"to" jsonschema:"pattern=^[^:]+:[0-9]+$"`
}

// Echo sends a few bytes and waits for them to come back.
type Echo struct {
	// To is host:port.
	To string `json:"to" jsonschema:"pattern=^[^:]+:[0-9]+$"`
	// Weight is how often, among several.
	Weight float64 `json:"weight,omitempty" jsonschema:"exclusiveMinimum=0"`
}

// Counter fires when a number is inside its bounds.
type Counter struct {
	scenario.ReadingExpectation
}

// Latency fires when attempts take too long.
type Latency struct {
	// Probe is the id of the probe.
	Probe string `json:"probe" ref:"probe"`
	// Took is how long an attempt takes that counts.
	Took scenario.DurationRange `json:"took"`
	// Share is how many of the attempts must.
	Share *scenario.PercentRange `json:"share,omitempty"`
}

// KernelLog fires when the kernel says something.
type KernelLog struct {
	// Event is the name of what it says.
	Event string `json:"event"`
	// On is where its log is read.
	On string `json:"on,omitempty" ref:"place"`
}

// Catalogues returns them all.
func Catalogues() scenario.Catalogues {
	return scenario.Catalogues{
		Changes: map[string]func() any{
			"sysctl":     func() any { return &Sysctl{} },
			"hold-pairs": func() any { return &HoldPairs{} },
			"dns-config": func() any { return &DNSConfig{} },
		},
		Probes: map[string]func() any{
			"lookup":  func() any { return &Lookup{} },
			"connect": func() any { return &Connect{} },
			"echo":    func() any { return &Echo{} },
		},
		Detectors: map[string]func() any{
			"counter":    func() any { return &Counter{} },
			"latency":    func() any { return &Latency{} },
			"kernel-log": func() any { return &KernelLog{} },
		},
		Offers: map[string]string{
			"nfqueue":        "Packets can be held in user space.",
			"kernel-log":     "The kernel's log can be read.",
			"dnat-race-free": "The kernel no longer drops the packet that loses the DNAT race.",
		},
	}
}
