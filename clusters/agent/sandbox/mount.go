package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mount mounts the files of a ConfigMap volume at a path.
type Mount struct {
	Volume string
	// Target is the path: a folder, or a file if Key is given.
	Target string
	// Key is the only file to mount, or empty for all files.
	Key string
	// Keys are the names of the volume's files. The files are empty until a program of the pod is started.
	Keys []string
}

// VolumeDir is the folder with a volume's files in a sandbox. Writing to it changes what the pod sees.
func VolumeDir(volume string) string { return filepath.Join("/run/relapse/volumes", volume) }

// Reserved says whether a path belongs to the kernel or to relapse: nothing can be mounted there.
func Reserved(path string) bool {
	return slices.ContainsFunc([]string{"/proc", "/sys", "/dev", "/run/relapse"}, func(folder string) bool {
		return path == folder || strings.HasPrefix(path, folder+"/")
	})
}

// Check says why the machine does not allow the volume at its target.
func (m Mount) Check() error {
	if !isShown(m.Target) {
		return nil
	}
	// It is the machine's folder, in which nothing may be created.
	info, err := os.Stat(m.Target)
	switch {
	case err != nil:
		return fmt.Errorf("%w; below /%s the lab can mount only at paths that exist on this machine", err, strings.Join(shown, ", /"))
	case m.Key == "" && !info.IsDir():
		return fmt.Errorf("%s is a file on this machine, and the volume is a folder; subPath mounts one file", m.Target)
	case m.Key != "" && info.IsDir():
		return fmt.Errorf("%s is a folder on this machine, and subPath is a file", m.Target)
	}
	return nil
}

// mount creates the files and mounts them read-only, as ConfigMaps are.
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
	return errors.Join(bind(filepath.Join(dir, m.Key), m.Target), readOnly(m.Target))
}
