package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// nodeRoot is the node's own file system, as its agent sees it.
const nodeRoot = "/proc/1/root"

// maxLeases keeps the change from filling a large range for minutes.
const maxLeases = 4096

// hostLocal is where the plugin host-local keeps leases: a file for each address, with the container's id in its first line.
// Source: containernetworking/plugins plugins/ipam/host-local/backend/disk/backend.go.
type hostLocal struct {
	folder string
	subnet netip.Prefix
}

// findHostLocal reads the first configuration by name, which is the one that the container runtime uses.
func findHostLocal() (hostLocal, error) {
	files, err := cniConfigs("")
	if err != nil {
		return hostLocal{}, err
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return hostLocal{}, err
	}
	var config struct {
		Name    string
		Plugins []struct {
			IPAM struct {
				Type, DataDir string
				Ranges        [][]struct{ Subnet netip.Prefix }
			}
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return hostLocal{}, fmt.Errorf("%s: %w", files[0], err)
	}
	for _, plugin := range config.Plugins {
		ipam := plugin.IPAM
		if ipam.Type != "host-local" || len(ipam.Ranges) != 1 || len(ipam.Ranges[0]) != 1 || !ipam.Ranges[0][0].Subnet.Addr().Is4() {
			continue
		}
		folder := ipam.DataDir
		if folder == "" {
			folder = "/var/lib/cni/networks"
		}
		return hostLocal{filepath.Join(nodeRoot, folder, config.Name), ipam.Ranges[0][0].Subnet}, nil
	}
	return hostLocal{}, fmt.Errorf("%s does not name the plugin host-local with one IPv4 range", files[0])
}

// free lists the addresses without a lease. The first one is the gateway's, the last one that of broadcasts.
func (h hostLocal) free() (free []string, err error) {
	address := h.subnet.Masked().Addr().Next().Next()
	for ; h.subnet.Contains(address.Next()); address = address.Next() {
		path := filepath.Join(h.folder, address.String())
		switch _, err := os.Lstat(path); {
		case errors.Is(err, os.ErrNotExist):
			free = append(free, path)
		case err != nil:
			return nil, err
		}
		if len(free) > maxLeases {
			return nil, fmt.Errorf("the node's range %s has more than %d free addresses", h.subnet, maxLeases)
		}
	}
	return free, nil
}

// leases lists the files of leases, by whether their containers exist.
func (h hostLocal) leases() (stale, used []string, err error) {
	entries, err := os.ReadDir(h.folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		if _, err := netip.ParseAddr(e.Name()); err != nil {
			continue
		}
		path := filepath.Join(h.folder, e.Name())
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		id, _, _ := strings.Cut(string(text), "\n")
		// containerd has a folder for each running container. Source: containerd docs/ops.md, "State".
		if _, err := os.Stat(filepath.Join(nodeRoot, "/run/containerd/io.containerd.runtime.v2.task/k8s.io", filepath.Base(strings.TrimSpace(id)))); err != nil {
			stale = append(stale, path)
		} else {
			used = append(used, path)
		}
	}
	return stale, used, nil
}

func readLeases() (map[string]float64, error) {
	h, err := findHostLocal()
	if err != nil {
		return nil, err
	}
	free, err := h.free()
	if err != nil {
		return nil, err
	}
	stale, _, err := h.leases()
	return map[string]float64{"stale": float64(len(stale)), "free": float64(len(free))}, err
}
