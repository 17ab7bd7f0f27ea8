package main

import (
	"fmt"
	"net"
	"net/http"

	"k8s.io/component-base/metrics/legacyregistry"
	proxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/metrics"
)

// serveMetrics serves what the proxier counts, as kube-proxy does, until the process ends.
func serveMetrics(address, mode string) error {
	if address == "" {
		return nil
	}
	metrics.RegisterMetrics(proxyconfig.ProxyMode(mode))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", legacyregistry.Handler())
	go func() { _ = http.Serve(listener, mux) }()
	return nil
}
