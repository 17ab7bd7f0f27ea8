// Package version says which relapse this is.
package version

import "runtime/debug"

// version is set when a release is built: -ldflags "-X …/version.version=v1.2.3".
var version string

// String is the release, or the commit that the program was built from, or "development".
func String() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	revision, dirty := "development", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision" && len(setting.Value) >= 12:
			revision = setting.Value[:12]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			dirty = "+changes"
		}
	}
	return revision + dirty
}
