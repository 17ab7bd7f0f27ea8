// Package sbin lets an ordinary user find programs that belong to the system's administrator, such as nft.
package sbin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// AddToPath adds the folders of such programs to the PATH of this process and of all that it starts. Debian leaves them out of an ordinary
// user's PATH. Relapse's programs call it first, so that a program is looked for in one way everywhere: on the PATH.
func AddToPath() error {
	path := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	return os.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator)))
}
