package ownimage

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is the content of an image, by absolute path.
type Tree map[string]entry

// entry is a file, a folder or a link; all belong to root.
type entry struct {
	mode fs.FileMode
	// source is the file of this machine with the content, and size its length.
	source string
	size   int64
	// text is the content if there is no source.
	text string
	// link is the target of a symbolic link.
	link string
}

// maxLinks is the largest number of links that may lead to one file.
const maxLinks = 40

// Add adds a file of this machine, or a folder without its content, at the same path, with every link on the way. Links are needed
// because some programs act by their name: iptables-save is a link to a link to one program. It returns the target of the links.
func (t Tree) Add(path string) (string, error) {
	rest, at := strings.Split(filepath.Clean(path), "/"), "/"
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", fmt.Errorf("%s: too many links", path)
			}
			target, err := os.Readlink(next)
			if err != nil {
				return "", err
			}
			t[next] = entry{mode: fs.ModeSymlink | 0o777, link: target}
			rest = append(strings.Split(target, "/"), rest...)
			if filepath.IsAbs(target) {
				at = "/"
			}
		case info.IsDir():
			if next != "/" {
				t.Folder(next, 0o755)
			}
			at = next
		case info.Mode().IsRegular():
			if len(rest) > 0 {
				return "", fmt.Errorf("%s: %s is a file", path, next)
			}
			t[next] = entry{mode: info.Mode().Perm(), source: next, size: info.Size()}
			return next, nil
		default:
			return "", fmt.Errorf("%s is neither a file nor a folder: %s", next, info.Mode())
		}
	}
	return at, nil
}

// AddAll adds the files and folders that match, with the content of the folders.
func (t Tree) AddAll(patterns ...string) error {
	var errs []error
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, path := range paths {
			target, err := t.Add(path)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if info, err := os.Stat(target); err == nil && info.IsDir() {
				errs = append(errs, t.AddAll(filepath.Join(path, "*")))
			}
		}
	}
	return errors.Join(errs...)
}

// Copy adds a file of this machine at another path.
func (t Tree) Copy(from, to string, mode fs.FileMode) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	t[to] = entry{mode: mode, source: from, size: info.Size()}
	return nil
}

// Put adds a file with this text.
func (t Tree) Put(path, text string) {
	t.Folder(filepath.Dir(path), 0o755)
	t[path] = entry{mode: 0o644, text: text, size: int64(len(text))}
}

// Link adds a symbolic link.
func (t Tree) Link(path, target string) { t[path] = entry{mode: fs.ModeSymlink | 0o777, link: target} }

// Folder adds a folder and its parents, unless they are links.
func (t Tree) Folder(path string, mode fs.FileMode) {
	for above := filepath.Dir(path); above != "/"; above = filepath.Dir(above) {
		if _, ok := t[above]; !ok {
			t[above] = entry{mode: fs.ModeDir | 0o755}
		}
	}
	if _, ok := t[path]; !ok && path != "/" {
		t[path] = entry{mode: fs.ModeDir | mode}
	}
}

// paths lists all entries, folders before their content.
func (t Tree) paths() []string { return slices.Sorted(maps.Keys(t)) }
