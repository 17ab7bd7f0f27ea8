package load_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// minimal is a valid file, with parts of it replaced: old, new, old, new.
func minimal(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/valid/minimal.yaml")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for i := 0; i < len(parts); i += 2 {
		NewWithT(t).Expect(string(text)).To(ContainSubstring(parts[i]))
	}
	return strings.NewReplacer(parts...).Replace(string(text))
}

const (
	pod     = "{apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {containers: [{name: main, image: relapse}]}}"
	connect = "    connect: {to: \"server:80\"}\n"
)

// TestFilesThatAskForTooMuch: none of them keeps the loader busy, and each is told where it asks for too much.
func TestFilesThatAskForTooMuch(t *testing.T) {
	many := func(n int, item string) string {
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, item, i)
		}
		return all.String()
	}
	bomb := "a0: &a0 [x]\n"
	for i := range 30 {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	for name, test := range map[string]struct{ text, want string }{
		"keys":      {many(60_000, "k%d: 1\n"), `:\d+:\d+: .*the file has more than 20000 values`},
		"same keys": {strings.Repeat("k: 1\n", 9000), `given twice: first in line 1`},
		"items":     {minimal(t, "topology:", "needs: ["+many(60_000, "a%d, ")+"]\ntopology:"), `needs\[\d+\]: the file has more than 20000 values`},
		"list":      {minimal(t, "topology:", "needs: ["+many(101, "a%d, ")+"]\ntopology:"), `:11:\d+: needs: must have at most 100 items, found 101`},
		"probes":    {minimal(t, "healthy:", many(100, "  - {id: p%d, from: pod/client, connect: {to: \"a:1\"}}\n")+"healthy:"), `: probes: must have at most 100 items, found 101`},
		"unknown":   {minimal(t, "title: Packets", many(9000, "x%d: 1\n  ")+"title: Packets"), `metadata.x0: unknown field "x0"`},
		"references": {minimal(t, "claims:", "controls:\n"+many(99, "  - {id: c%d, title: T, source: nowhere, variants: [a, b, c, d, e, f], expect: symptom, with: [{id: w, on: nodes, nothing: {}}]}\n")+"claims:"),
			`controls\[0\].source: unknown source "nowhere"`},
		"depth":         {"a: " + strings.Repeat("{b: ", 600) + "1" + strings.Repeat("}", 600), `nested more than 50 deep`},
		"long names":    {strings.Repeat("k", 600) + ": {" + strings.Repeat("k", 600) + ": {a: 1}}\n", `the names of the fields around this one are longer than 1000 characters`},
		"aliases":       {bomb, `the anchor &a0`},
		"size":          {"a: " + strings.Repeat("x", 1<<20), `:1:1: the file has more than 1048576 bytes`},
		"name":          {minimal(t, "id: connect", "id: "+strings.Repeat("c", 300)), `probes\[0\].id: the name has 300 characters: at most 63 are allowed`},
		"every":         {minimal(t, connect, connect+"    every: 10000h\n"), `probes\[0\].every: must be at most 10m0s`},
		"all attempts":  {minimal(t, connect, connect+"    every: 1m\n    attempts: 100\n"), `probes\[0\].every: 100 attempts, one every 1m0s, must start within 10m0s`},
		"many attempts": {minimal(t, connect, connect+"    attempts: 2000000000\n"), `probes\[0\].attempts: must be at most 10000, found 2000000000`},
		"timeout":       {minimal(t, connect, connect+"    timeout: 11m\n"), `probes\[0\].timeout: must be at most 10m0s`},
		"replicas": {minimal(t, pod, pod+"\n  - {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2000000000, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: main, image: relapse}]}}}}"),
			`:14:\d+: workload\[1\].spec.replicas: Invalid value: 2000000000: must be between 0 and 100, inclusive`},
		"negative port":       {minimal(t, "server:80", "server:-1"), `probes\[0\].connect: "server:-1": the port must be a number from 1 to 65535`},
		"impossible symptom":  {minimal(t, "attempt: {failed: true}", "attempt: {failed: true, took: {min: 900ms}}", connect, connect+"    timeout: 500ms\n"), `variants\[0\].symptom.attempt.took: never true: the probe.s timeout ends an attempt after 500ms`},
		"impossible slowness": {minimal(t, "failed: {max: 0%}", "slowest: {min: 11s}"), `healthy\[0\].slowest: never true: the probe.s timeout ends an attempt after 10s`},
		"nothing to read":     {minimal(t, "{reader: change/sysctl, key: set, value: {min: 1}}", "{reader: conntrack, on: cluster, key: drop, rise: {min: 1}}"), `proof\[0\].on: numbers are read at a place, not on the cluster as a whole`},
		"evidence":            {minimal(t, "claims:", "evidence: [{on: cluster, run: [conntrack, -S]}]\nclaims:"), `evidence\[0\].on: a command runs at a place, not on the cluster as a whole`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := load.Parse("hostile.yaml", []byte(test.text), catalogue.All())
			g := NewWithT(t)
			g.Expect(err).To(MatchError(MatchRegexp(`hostile.yaml.*` + test.want)))
			g.Expect(s).To(BeNil())
			g.Expect(strings.Count(err.Error(), "\n")).To(BeNumerically("<", 200))
		})
	}
	_, err := load.Parse("minimal.yaml", []byte(minimal(t)), catalogue.All())
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "the file in which parts were replaced")
}

// TestFilesThatAreNone: a pipe would wait for ever, and a device has no end.
func TestFilesThatAreNone(t *testing.T) {
	g := NewWithT(t)
	pipe := filepath.Join(t.TempDir(), "pipe.yaml")
	g.Expect(syscall.Mkfifo(pipe, 0o600)).To(Succeed())
	for path, want := range map[string]string{
		pipe: "pipe.yaml: a named pipe, not a regular file", "/dev/zero": "open /dev/zero: a device, not a regular file", t.TempDir(): ": a folder, not a regular file",
	} {
		_, err := load.File(path, catalogue.All())
		g.Expect(err).To(MatchError(ContainSubstring(want)))
	}
	large := filepath.Join(t.TempDir(), "large.yaml")
	g.Expect(os.WriteFile(large, nil, 0o600)).To(Succeed())
	g.Expect(os.Truncate(large, 1<<40)).To(Succeed())
	_, err := load.File(large, catalogue.All())
	g.Expect(err).To(MatchError(HaveSuffix("large.yaml: the file has more than 1048576 bytes")))
}
