package undo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File puts the old content and mode of a file back, or removes it when it was not there.
type File struct {
	Path string `json:"path"`
	// Existed is whether the file was there before the change.
	Existed bool `json:"existed"`
	// Content before the change; base64 in JSON.
	Content []byte `json:"content,omitempty"`
	// Mode is the file's permissions before the change.
	Mode fs.FileMode `json:"mode,omitempty"`
}

// FileRecord reads what is there now, before a change.
func FileRecord(path string) (Record, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Record{}, err
	}
	info, err := os.Stat(abs)
	if errors.Is(err, os.ErrNotExist) {
		return Record{File: &File{Path: abs}}, nil
	}
	if err != nil {
		return Record{}, err
	}
	if !info.Mode().IsRegular() {
		return Record{}, fmt.Errorf("%s is no regular file: %s", abs, info.Mode())
	}
	content, err := os.ReadFile(abs)
	if err != nil {
		return Record{}, err
	}
	return Record{File: &File{Path: abs, Existed: true, Content: content, Mode: info.Mode().Perm()}}, nil
}

// SetFile writes a file after its old content was written down.
func (s *Scope) SetFile(path string, content []byte, mode fs.FileMode) error {
	return s.changeFile(path, func(path string) error { return writeFile(path, content, mode) })
}

// RemoveFile removes a file after its content was written down.
func (s *Scope) RemoveFile(path string) error {
	return s.changeFile(path, os.Remove)
}

// changeFile writes down what a file is, and then changes it.
func (s *Scope) changeFile(path string, change func(path string) error) error {
	s.stack.changing.Lock()
	defer s.stack.changing.Unlock()
	record, err := FileRecord(path)
	if err != nil {
		return err
	}
	if err := s.Push(record); err != nil {
		return err
	}
	return change(record.File.Path)
}

// writeFile writes in place, because a file in a pod is often a mount of its own, which cannot be replaced by renaming.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (f *File) String() string {
	if !f.Existed {
		return "remove file " + f.Path
	}
	return fmt.Sprintf("put %d bytes back into %s", len(f.Content), f.Path)
}

func (f *File) check() error {
	if !filepath.IsAbs(f.Path) {
		return fmt.Errorf("path is not absolute: %q", f.Path)
	}
	return nil
}

func (f *File) undo(context.Context) error {
	if f.Existed {
		return writeFile(f.Path, f.Content, f.Mode)
	}
	err := os.Remove(f.Path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return err
}
