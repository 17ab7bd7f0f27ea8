package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sysctl puts the old value of a kernel setting back.
type Sysctl struct {
	// Key as sysctl(8) takes it: net.netfilter.nf_conntrack_max, or net.ipv4.conf.eth0/100.rp_filter for the link eth0.100.
	Key string `json:"key"`
	// Value before the change.
	Value string `json:"value"`
}

// SysctlPath is the file of a key. As with sysctl(8), a key whose first separator is a slash is a path already, and otherwise
// dots and slashes change places, so that a link's name may hold a dot.
func SysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = swapSeparators(key)
	}
	return "/proc/sys/" + key
}

// SysctlKey is the key of a file under /proc/sys: the inverse of SysctlPath.
func SysctlKey(path string) string {
	return swapSeparators(strings.TrimPrefix(path, "/proc/sys/"))
}

func swapSeparators(s string) string {
	return strings.NewReplacer(".", "/", "/", ".").Replace(s)
}

// ReadSysctl returns the value of a kernel setting, with the fields of a row separated by one space.
func ReadSysctl(key string) (string, error) {
	text, err := os.ReadFile(SysctlPath(key))
	if err != nil {
		return "", sysctlError("read", key, err)
	}
	return normalValue(string(text)), nil
}

// normalValue is a value in which the kernel's tabs do not matter, nor the newline at its end.
func normalValue(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

// openSysctl opens a setting for writing, which changes nothing yet.
func openSysctl(key string) (*os.File, error) {
	f, err := os.OpenFile(SysctlPath(key), os.O_WRONLY, 0)
	if err != nil {
		return nil, sysctlError("set", key, err)
	}
	return f, nil
}

// writeSysctl writes, reads back and says what the kernel made of it.
func writeSysctl(f *os.File, key, value string) error {
	// With a newline, because writing nothing at all would leave a list of ports as it is instead of emptying it.
	if _, err := f.WriteString(value + "\n"); err != nil {
		return sysctlError("set", fmt.Sprintf("%s to %q", key, value), err)
	}
	got, err := ReadSysctl(key)
	if err != nil {
		return err
	}
	if got != normalValue(value) {
		return fmt.Errorf("set %s: wanted %q, the kernel has %q", key, value, got)
	}
	return nil
}

// sysctlError names the setting and says why the kernel refuses, as far as that is known.
func sysctlError(verb, key string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = fmt.Errorf("%w: not in this network namespace: the kernel keeps it to the initial one, or what it belongs to is not there",
			err)
	case os.Geteuid() == 0 && (errors.Is(err, os.ErrPermission) || errors.Is(err, errors.ErrUnsupported)):
		err = fmt.Errorf("%w: the kernel keeps this setting to the initial network namespace", err)
	}
	return fmt.Errorf("%s %s: %w", verb, key, err)
}

// follows are the settings that the kernel changes along with one, as patterns of their keys.
var follows = map[string][]string{
	"net.ipv4.ip_forward":                           {"net.ipv4.conf.*.forwarding", "net.ipv4.conf.all.accept_redirects"},
	"net.ipv6.conf.all.forwarding":                  {"net.ipv6.conf.*.forwarding"},
	"net.ipv6.conf.all.disable_ipv6":                {"net.ipv6.conf.*.disable_ipv6"},
	"net.ipv6.conf.all.addr_gen_mode":               {"net.ipv6.conf.*.addr_gen_mode"},
	"net.ipv6.conf.all.ignore_routes_with_linkdown": {"net.ipv6.conf.*.ignore_routes_with_linkdown"},
}

// oneName returns the path of the setting that a path is another name of, or the path itself.
func oneName(path string) string {
	if path == "/proc/sys/net/ipv4/conf/all/forwarding" {
		return "/proc/sys/net/ipv4/ip_forward"
	}
	return path
}

// sysctlRecords are the records of a setting and of what follows it, in the order that they are to be pushed in: the setting
// itself last, so that it is undone first and the others get their own values back after it.
func sysctlRecords(key string) ([]Record, error) {
	old, err := ReadSysctl(key)
	if err != nil {
		return nil, err
	}
	var records []Record
	main := oneName(SysctlPath(key))
	for _, pattern := range follows[SysctlKey(main)] {
		files, err := filepath.Glob(SysctlPath(pattern))
		if err != nil {
			return nil, fmt.Errorf("settings that follow %s: %w", key, err)
		}
		for _, file := range files {
			if oneName(file) == main {
				continue
			}
			value, err := ReadSysctl(SysctlKey(file))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("setting that follows %s: %w", key, err)
			}
			records = append(records, Record{Sysctl: &Sysctl{Key: SysctlKey(file), Value: value}})
		}
	}
	return append(records, Record{Sysctl: &Sysctl{Key: SysctlKey(main), Value: old}}), nil
}

// SetSysctl changes a kernel setting: it reads the old value, writes it down, sets the new one and reads it back.
func (s *Scope) SetSysctl(key, value string) error {
	s.stack.changing.Lock()
	defer s.stack.changing.Unlock()
	records, err := sysctlRecords(key)
	if err != nil {
		return err
	}
	// Opened before anything is written down, so that a setting that may not be changed leaves nothing to undo.
	f, err := openSysctl(key)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := s.Push(records...); err != nil {
		return err
	}
	return writeSysctl(f, key, value)
}

func (s *Sysctl) String() string { return fmt.Sprintf("set %s to %q", s.Key, s.Value) }

func (s *Sysctl) check() error {
	if s.Key == "" || strings.Contains(SysctlPath(s.Key), "..") {
		return fmt.Errorf("not a sysctl key: %q", s.Key)
	}
	return nil
}

func (s *Sysctl) undo(context.Context) error {
	now, err := ReadSysctl(s.Key)
	if errors.Is(err, os.ErrNotExist) {
		// The link that it belonged to has gone.
		return nil
	}
	if err != nil {
		return err
	}
	if now == normalValue(s.Value) {
		return nil
	}
	f, err := openSysctl(s.Key)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return writeSysctl(f, s.Key, s.Value)
}
