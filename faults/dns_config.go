package faults

import (
	"context"
	"errors"
	"os"
	"strings"
)

// DNSConfig changes a pod's resolv.conf as the kubelet would write it for that dnsConfig. The C library reads the file again
// when it changes, so the pod goes on; on a real cluster a changed dnsConfig means new pods.
type DNSConfig struct {
	// Options to set, as resolv.conf writes them: ndots:2, single-request-reopen. One of the same name is replaced.
	Options []string `json:"options"`
}

const resolvConf = "/etc/resolv.conf"

// Validate refuses what would not be an option.
func (c *DNSConfig) Validate() error {
	for _, option := range c.Options {
		if option == "" || strings.ContainsAny(option, " \t\n#;") {
			return errors.New("an option is one word: name or name:value")
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
	return ns.Scope.SetFile(resolvConf, []byte(c.merge(string(before))), 0o644)
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

// Readings: set is 1 while the file has every option.
func (c *DNSConfig) Readings(context.Context) (map[string]float64, error) {
	now, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil, err
	}
	if c.merge(string(now)) == string(now) {
		return map[string]float64{"set": 1}, nil
	}
	return map[string]float64{"set": 0}, nil
}
