// Package clusterwide holds the changes to the cluster as a whole. The harness makes them, through the cluster and the agents of
// its places; at a place they use the changes of package faults. Both kinds write down how to undo a step before they take it.
package clusterwide

import (
	"context"
	"maps"
	"slices"

	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/site"
)

// Catalogue lists every change by the name that scenarios use, including the changes of package faults.
var Catalogue = merge(faults.Catalogue, map[string]faults.Entry{
	"coredns-config":     {On: cluster, New: func() any { return &CoreDNSConfig{} }},
	"delete-pods":        {On: cluster, New: func() any { return &DeletePods{} }},
	"install-cni":        {On: cluster, New: func() any { return &InstallCNI{} }},
	"kubernetes-object":  {On: cluster, New: func() any { return &KubernetesObject{} }},
	"many-services":      {On: cluster, New: func() any { return &ManyServices{} }},
	"no-cni":             {On: cluster, New: func() any { return &NoCNI{} }},
	"nodelocal-dnscache": {On: cluster, New: func() any { return &NodeLocalDNSCache{} }},
	"proxy-mode":         {On: cluster, New: func() any { return &ProxyMode{} }},
	"nothing":            {On: slices.Concat(cluster, faults.Catalogue["nothing"].On), New: func() any { return &Nothing{} }},
})

var cluster = []string{"cluster"}

func merge(places, wide map[string]faults.Entry) map[string]faults.Entry {
	all := maps.Clone(places)
	maps.Copy(all, wide)
	return all
}

// Nothing changes nothing, at a place or on the cluster as a whole. Use it to check a scenario: with nothing in place of its fault a
// scenario must not pass, and with nothing in place of a remedy that remedy must fail. It has no readings.
type Nothing struct{ faults.Nothing }

// ApplyTo does nothing.
func (*Nothing) ApplyTo(context.Context, *site.Scope) error { return nil }
