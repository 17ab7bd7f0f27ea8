package website

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// listFile names all files of a site, one a line. A folder that has it was made by this package and may be made again.
const listFile = "relapse-pages.txt"

// folder is where a site is written. Nothing outside of it is touched, whatever links are in it.
type folder struct {
	dir  string
	root *os.Root
	// old are the files of the site that was there before, written those of this one.
	old, written map[string]bool
}

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{dir, root, map[string]bool{}, map[string]bool{}}
	list, err := root.ReadFile(listFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err = f.empty(); err == nil {
			err = root.WriteFile(listFile, nil, 0o644) // so that what is broken off here can be made again
		}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	for name := range strings.Lines(string(list)) {
		f.old[strings.TrimSuffix(name, "\n")] = true
	}
	return f, nil
}

// empty refuses a folder with files of somebody else. Those whose names begin with a dot, such as git's, are no hindrance.
func (f *folder) empty() error {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			return fmt.Errorf("%s is not empty and no site of relapse: it has %s; name a new folder", f.dir, e.Name())
		}
	}
	return err
}

func (f *folder) write(name string, data []byte) error {
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, path.Dir(name)), err)
	}
	f.written[name] = true
	if err := f.root.WriteFile(name, data, 0o644); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, name), err)
	}
	return nil
}

// finish writes the list of files, and removes pages of the site before that are no more.
func (f *folder) finish() error {
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f.written)) {
		list.WriteString(name + "\n")
	}
	var errs []error
	for name := range f.old {
		if !f.written[name] && strings.HasSuffix(name, ".html") {
			if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, f.root.WriteFile(listFile, []byte(list.String()), 0o644))...)
}

func (f *folder) close() { f.root.Close() }
