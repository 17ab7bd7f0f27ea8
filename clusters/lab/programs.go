package lab

import (
	"fmt"
	"os/exec"
)

// Program is a program of this machine that the lab calls.
type Program struct {
	// Name of the program, and the argument with which it prints its version.
	Name, Version string
	// Package is the Debian package that has it.
	Package string
	// Why says what it is for.
	Why string
	// Proxy is the mode of kube-proxy that needs it, if one does.
	Proxy string
}

// Programs are all that the lab calls.
var Programs = []Program{
	{"nft", "--version", "nftables", "for kube-proxy in nftables mode", "nftables"},
	{"iptables", "--version", "iptables", "for kube-proxy in iptables mode", "iptables"},
	{"conntrack", "--version", "conntrack", "for evidence", ""},
	{"ip", "-V", "iproute2", "for evidence", ""},
	{"getent", "--version", "libc-bin", "for detection commands", ""},
}

// Missing returns an error if this machine does not have the program that kube-proxy needs in a mode.
func Missing(proxy string) error {
	for _, p := range Programs {
		if p.Proxy != proxy {
			continue
		}
		if _, err := exec.LookPath(p.Name); err != nil {
			return fmt.Errorf("kube-proxy in %s mode needs the program %s, which is not installed: apt-get install %s", proxy, p.Name, p.Package)
		}
	}
	return nil
}
