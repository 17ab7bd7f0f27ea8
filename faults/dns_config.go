package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// DNSConfig changes a pod's resolv.conf as the kubelet would write it for that dnsConfig. The C library reads the file again when it
// changes, so the pod keeps running; on a real cluster a changed dnsConfig means new pods.
type DNSConfig struct {
	// Options to set, as in resolv.conf: ndots:2, single-request-reopen. An option of the same name is replaced.
	Options []string `json:"options" jsonschema:"minItems=1"`
}

const resolvConf = "/etc/resolv.conf"

// Validate refuses malformed options.
func (c *DNSConfig) Validate() error {
	for _, option := range c.Options {
		if err := oneLine("options", option); err != nil {
			return err
		}
		if strings.ContainsAny(option, " \t#;") {
			return errors.New("an option must be one word: name or name:value")
		}
	}
	return nil
}

// Apply rewrites the file.
func (c *DNSConfig) Apply(_ context.Context, ns *Namespace) error {
	before, err := os.ReadFile(resolvConf)
	if err != nil {
		return err
	}
	after := c.merge(string(before))
	if after == string(before) {
		return fmt.Errorf("%s has the options %s already, so setting them would change nothing", resolvConf, strings.Join(c.Options, " "))
	}
	return ns.Scope.SetFile(resolvConf, []byte(after), 0o644)
}

// merge keeps all lines but options, and puts one options line at the end.
func (c *DNSConfig) merge(before string) string {
	var lines, options []string
	for line := range strings.Lines(before) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "options "); ok {
			options = append(options, strings.Fields(rest)...)
			continue
		}
		lines = append(lines, strings.TrimRight(line, "\n"))
	}
	return strings.Join(append(lines, "options "+strings.Join(mergeOptions(options, c.Options), " ")), "\n") + "\n"
}

// mergeOptions replaces options of the same name, as the kubelet does. Source: Kubernetes pkg/kubelet/network/dns (mergeDNSOptions).
func mergeOptions(before, add []string) []string {
	name := func(option string) string { n, _, _ := strings.Cut(option, ":"); return n }
	var merged []string
	for _, old := range before {
		replaced := false
		for _, option := range add {
			replaced = replaced || name(option) == name(old)
		}
		if !replaced {
			merged = append(merged, old)
		}
	}
	return append(merged, add...)
}

// Keys are its numbers.
func (*DNSConfig) Keys() units.Keys {
	return units.Keys{"set": {Means: "1 while the file has every option", Kind: units.Share}}
}

// Readings reads the file.
func (c *DNSConfig) Readings(context.Context) (map[string]float64, error) {
	now, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil, err
	}
	return map[string]float64{"set": share(c.merge(string(now)) == string(now))}, nil
}
