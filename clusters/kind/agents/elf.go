package agents

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/images"
)

// closure adds programs and libraries to a tree, with the libraries that they need.
type closure struct {
	tree tree
	// cache has the places of libraries by their names, as the dynamic loader's cache lists them.
	cache map[string][]string
}

// systemFolders are searched last. Source: ld.so(8).
var systemFolders = []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib"}

var cacheLine = regexp.MustCompile(`(?m)^\s+(\S+) \(.*\) => (/.+)$`)

func newClosure(ctx context.Context, t tree) (*closure, error) {
	c := &closure{tree: t, cache: map[string][]string{}}
	ldconfig, err := images.LookPath("ldconfig")
	if err != nil {
		return nil, err
	}
	output, err := exec.CommandContext(ctx, ldconfig, "-p").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s -p: %w: %s", ldconfig, err, output)
	}
	for _, m := range cacheLine.FindAllSubmatch(output, -1) {
		c.cache[string(m[1])] = append(c.cache[string(m[1])], string(m[2]))
	}
	// The same cache in the image: libraries need not lie in the loader's own folders.
	_, err = t.add("/etc/ld.so.cache")
	return c, err
}

// add takes a program or a library, or any other file.
func (c *closure) add(path string) error {
	target, err := c.tree.add(path)
	if err != nil {
		return err
	}
	return c.needs(target)
}

// needs adds what a file of this machine needs to run.
func (c *closure) needs(path string) error {
	if is, err := isELF(path); err != nil || !is { // a script, say
		return err
	}
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var needed []string
	if section := file.Section(".interp"); section != nil {
		text, err := section.Data()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		needed = append(needed, string(bytes.TrimRight(text, "\x00")))
	}
	folders, err := runPath(file, path)
	if err != nil {
		return err
	}
	for _, name := range libraries {
		found, ok := c.find(name, folders, file.FileHeader)
		if !ok {
			return fmt.Errorf("%s needs the library %s, which is not on this machine", path, name)
		}
		needed = append(needed, found)
	}
	for _, one := range needed {
		if _, ok := c.tree[one]; ok {
			continue
		}
		if err := c.add(one); err != nil {
			return fmt.Errorf("for %s: %w", path, err)
		}
	}
	return nil
}

func isELF(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	head := make([]byte, len(elf.ELFMAG))
	n, err := io.ReadFull(file, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return n == len(head) && string(head) == elf.ELFMAG, err
}

// runPath are the folders that a file itself names.
func runPath(file *elf.File, path string) ([]string, error) {
	var folders []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		texts, err := file.DynString(tag)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, text := range texts {
			for _, folder := range filepath.SplitList(text) {
				folders = append(folders, strings.NewReplacer("$ORIGIN", filepath.Dir(path), "${ORIGIN}", filepath.Dir(path)).Replace(folder))
			}
		}
	}
	return folders, nil
}

// find returns the place of a library for the same kind of machine.
func (c *closure) find(name string, folders []string, like elf.FileHeader) (string, bool) {
	var candidates []string
	for _, folder := range folders {
		candidates = append(candidates, filepath.Join(folder, name))
	}
	candidates = append(candidates, c.cache[name]...)
	for _, folder := range systemFolders {
		candidates = append(candidates, filepath.Join(folder, name))
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		file, err := elf.Open(path)
		if err != nil {
			continue
		}
		file.Close()
		if file.Class == like.Class && file.Machine == like.Machine {
			return path, true
		}
	}
	return "", false
}
