package local

import (
	"fmt"
	"os"
	"path/filepath"
)

// FindPrograms returns the folder with relapse's own programs: the folder of the running program, or RELAPSE_BIN. Who, which needs them,
// is named in the error.
func FindPrograms(who string, names ...string) (bin string, err error) {
	bin = os.Getenv("RELAPSE_BIN")
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		bin = filepath.Dir(self)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return "", fmt.Errorf("%s needs the program %s: %w; make build makes it", who, name, err)
		}
	}
	return bin, nil
}
