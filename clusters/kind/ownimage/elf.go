package ownimage

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
)

// Closure adds programs and libraries to a tree, with the libraries that they need.
type Closure struct {
	Tree Tree
	// loader is the dynamic loader of the first program, and machine what that is built for. Libraries name no loader of their own.
	loader  string
	machine elf.Machine
}

// listed is a library in the list of a dynamic loader, as in: libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f5e4a400000)
var listed = regexp.MustCompile(`(?m)^\s+\S+ => (/\S+)`)

// Add takes a program or a library, or any other file.
func (c *Closure) Add(ctx context.Context, path string) error {
	target, err := c.Tree.Add(path)
	if err != nil {
		return err
	}
	return c.Needs(ctx, target)
}

// Needs adds what a file of this machine needs to run: its dynamic loader, and the libraries that this finds for it.
func (c *Closure) Needs(ctx context.Context, path string) error {
	file, err := elf.Open(path)
	if bad := (*elf.FormatError)(nil); errors.As(err, &bad) || errors.Is(err, io.EOF) {
		return nil // a script, say
	}
	if err != nil {
		return err
	}
	defer file.Close()
	loader, err := interpreter(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case loader == "" && (len(libraries) == 0 || file.Machine != c.machine):
		return nil // static, or a library that no program here can load
	case loader == "":
		loader = c.loader
	case c.loader == "":
		c.loader, c.machine = loader, file.Machine
	}
	list := exec.CommandContext(ctx, loader, "--list", path)
	list.Env = []string{"LC_ALL=C"} // and no LD_LIBRARY_PATH, which the image does not have either
	output, err := list.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", list, err, output) // its words name a library that is not on this machine
	}
	needed := []string{loader}
	for _, m := range listed.FindAllSubmatch(output, -1) {
		needed = append(needed, string(m[1]))
	}
	for _, one := range needed {
		if _, err := c.Tree.Add(one); err != nil {
			return fmt.Errorf("for %s: %w", path, err)
		}
	}
	return nil
}

// interpreter is the dynamic loader that a program names; libraries and static programs name none.
func interpreter(file *elf.File) (string, error) {
	section := file.Section(".interp")
	if section == nil {
		return "", nil
	}
	text, err := section.Data()
	return string(bytes.TrimRight(text, "\x00")), err
}

// Xtables are where the extensions of iptables are, one library each, which it opens at run time.
var Xtables = []string{"/usr/lib/*/xtables/*.so", "/usr/lib64/xtables/*.so", "/usr/lib/xtables/*.so"}

// Find lists the files that match any of the patterns.
func Find(patterns ...string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
		all = append(all, found...)
	}
	return all, nil
}
