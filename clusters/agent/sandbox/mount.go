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

// Mountable are the folders below which a volume can be mounted. Nothing there is read by the agent, or by a program that it starts with
// more rights than a pod's: a library, a setting of the dynamic loader or of the resolver would be code of a stranger with these rights.
var Mountable = []string{
	"/run", "/srv", "/opt", "/app", "/config", "/data", "/var/lib", "/var/www",
	"/etc/nginx", "/etc/haproxy", "/etc/envoy", "/usr/local/etc", "/usr/share/nginx",
}

// CanMount says whether a volume can be mounted at a path.
func CanMount(path string) bool {
	below := func(folder string) bool { return strings.HasPrefix(path, folder+"/") }
	return filepath.Clean(path) == path && slices.ContainsFunc(Mountable, below) && path != "/run/relapse" && !below("/run/relapse")
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
