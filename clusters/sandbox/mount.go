package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount shows the files of a ConfigMap volume at a path.
type Mount struct {
	Volume string
	// Target is where: a folder, or a file where Key is given.
	Target string
	// Key is the one file to show, or nothing for all.
	Key string
	// Keys are the files of the volume. They are empty until a program of the pod is started.
	Keys []string
}

// VolumeDir is where the files of a volume are kept in a sandbox. Who writes there changes what is shown.
func VolumeDir(volume string) string { return filepath.Join("/run/relapse/volumes", volume) }

// Check says why the volume cannot be mounted there on this machine: nothing of the machine may be made for it.
func (m Mount) Check() error {
	if m.ownRun() {
		return nil
	}
	info, err := os.Stat(m.Target)
	switch {
	case err != nil:
		return fmt.Errorf("%w; the lab mounts only at what is on this machine, or below /run", err)
	case m.Key == "" && !info.IsDir():
		return fmt.Errorf("%s is a file on this machine, and the volume is a folder; subPath mounts one file", m.Target)
	case m.Key != "" && info.IsDir():
		return fmt.Errorf("%s is a folder on this machine, and subPath is a file", m.Target)
	}
	return nil
}

// ownRun is whether the target lies in the sandbox's own /run.
func (m Mount) ownRun() bool { return strings.HasPrefix(m.Target, "/run/") }

// mount makes the files and shows them, read-only as ConfigMaps are.
func (m Mount) mount() error {
	dir := VolumeDir(m.Volume)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, key := range m.Keys {
		if err := os.WriteFile(filepath.Join(dir, key), nil, 0o644); err != nil {
			return err
		}
	}
	source := filepath.Join(dir, m.Key)
	if m.ownRun() {
		if err := m.makeTarget(); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, m.Target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, m.Target, err)
	}
	if err := unix.Mount("", m.Target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount %s at %s read-only: %w", source, m.Target, err)
	}
	return nil
}

func (m Mount) makeTarget() error {
	if m.Key == "" {
		return os.MkdirAll(m.Target, 0o755)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(m.Target), 0o755), os.WriteFile(m.Target, nil, 0o644))
}
