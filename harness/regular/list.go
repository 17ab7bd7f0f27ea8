package regular

import (
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxDepth is how deep folders in a folder are listed.
const maxDepth = 8

// Entry is a regular file in a folder.
type Entry struct {
	// Name is its path in the folder, with slashes.
	Name string
	// Size in bytes.
	Size int64
}

// List returns the regular files in the folder and in the folders in it, sorted by name. If there are more than limit files and folders, or
// if they are nested too deep, it returns some of them and an error.
func (f *Folder) List(limit int) ([]Entry, error) {
	l := &lister{f: f, left: limit, limit: limit}
	err := l.list(".", 0)
	slices.SortFunc(l.files, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return l.files, err
}

// Names returns what is right in the folder, sorted: its regular files and its folders. Links and special files are left out. If there is
// more than limit, it returns some of it and an error.
func (f *Folder) Names(limit int) (files, folders []string, err error) {
	dir, err := f.root.Open(".")
	if err != nil {
		return nil, nil, named(f.dir, err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(limit + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, named(f.dir, err)
	}
	if err = nil; len(entries) > limit {
		err = refuse(f.dir, fmt.Errorf("more than %d files", limit))
	}
	for _, e := range entries {
		switch {
		case e.IsDir():
			folders = append(folders, e.Name())
		case e.Type().IsRegular():
			files = append(files, e.Name())
		}
	}
	slices.Sort(files)
	slices.Sort(folders)
	return files, folders, err
}

type lister struct {
	f           *Folder
	left, limit int
	files       []Entry
}

func (l *lister) list(dir string, depth int) error {
	at := filepath.Join(l.f.dir, dir)
	if depth > maxDepth {
		return refuse(at, fmt.Errorf("nested more than %d deep", maxDepth))
	}
	file, err := l.f.root.Open(dir)
	if err != nil {
		return named(at, err)
	}
	defer file.Close()
	for {
		infos, err := file.Readdir(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return named(at, err)
		}
		for _, info := range infos {
			if l.left--; l.left < 0 {
				return refuse(at, fmt.Errorf("more than %d files", l.limit))
			}
			name := path.Join(dir, info.Name())
			switch {
			case info.IsDir():
				if err := l.list(name, depth+1); err != nil {
					return err
				}
			case info.Mode().IsRegular():
				l.files = append(l.files, Entry{name, info.Size()})
			}
		}
	}
}
