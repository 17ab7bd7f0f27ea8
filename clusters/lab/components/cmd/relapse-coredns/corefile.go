package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
)

const serverType = "dns"

// loadCorefile is registered with caddy rather than called, because the plugin `reload` reads the file again by the same
// way.
func loadCorefile(path string) caddy.LoaderFunc {
	return func(string) (caddy.Input, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("corefile: %w", err)
		}
		return caddy.CaddyfileInput{Contents: text, Filepath: path, ServerTypeName: serverType}, nil
	}
}

// startServers returns when every server of the Corefile is listening. The plugin `kubernetes` makes that wait until it
// knows all that the API serves, or for its startup_timeout.
func startServers(corefile caddy.Input) error {
	caddy.Quiet, dnsserver.Quiet = true, true // what they would print goes to standard output, which is for reports
	if _, err := caddy.Start(corefile); err != nil {
		return fmt.Errorf("starting CoreDNS with %s: %w", corefile.Path(), err)
	}
	return nil
}

// usesKubernetes says whether any server of the Corefile has the plugin `kubernetes`.
func usesKubernetes(corefile caddy.Input) (bool, error) {
	blocks, err := caddyfile.Parse(corefile.Path(), bytes.NewReader(corefile.Body()), nil)
	if err != nil {
		return false, fmt.Errorf("corefile: %w", err)
	}
	for _, block := range blocks {
		if _, there := block.Tokens["kubernetes"]; there {
			return true, nil
		}
	}
	return false, nil
}
