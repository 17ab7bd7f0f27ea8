// Package crashsafe makes and removes folders in one step each: whenever the process is killed, nobody finds half a folder under its name.
package crashsafe

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// A folder has these prefixes before it is complete, and while it is being removed.
const (
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
)

// Make makes a folder whose content fill writes.
func Make(folder string, fill func(unfinished string) error) error {
	unfinished := beside(folder, newPrefix)
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	err := fill(unfinished)
	if err == nil {
		err = os.Rename(unfinished, folder)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return nil
}

// Remove removes a folder, if it exists.
func Remove(folder string) error {
	gone := beside(folder, gonePrefix)
	if err := os.Rename(folder, gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(gone)
}

func beside(folder, prefix string) string {
	return filepath.Join(filepath.Dir(folder), prefix+filepath.Base(folder))
}

// Half returns the name of the folder that was being made or removed under this name, or false if this is not such a name.
func Half(name string) (folder string, half bool) {
	for _, prefix := range []string{newPrefix, gonePrefix} {
		if folder, half := strings.CutPrefix(name, prefix); half {
			return folder, true
		}
	}
	return name, false
}
