// Package regular reads and writes the files of folders that a stranger may have made. It opens only regular files, follows no link out of
// a folder, and reads no more than a limit: a pipe, a device or a file without end cannot hold up relapse or fill its memory.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Limits of what is read, far beyond what runs write. Sizes are in bytes.
const (
	// MaxScenario is the size of a scenario file.
	MaxScenario = 1 << 20
	// MaxJSON is the size of run.json, verdict.json, agreement.json and suite.json.
	MaxJSON = 8 << 20
	// MaxHistory is the size of history.jsonl, MaxLine that of a line of it, and MaxEvents the number of its lines. MaxNames is how many
	// different things it names: phases of lanes, places, probes, numbers and messages of logs.
	MaxHistory = 128 << 20
	MaxLine    = 1 << 20
	MaxEvents  = 500_000
	MaxNames   = 3000
	// MaxFiles is how many files and folders the folder evidence has.
	MaxFiles = 5000
	// MaxResults is the size of a file of a store of results, before and after it is compressed, and MaxMonth the number of those files of
	// one month.
	MaxResults = 64 << 20
	MaxMonth   = 100_000
)

// ReadFile reads a file that a person names, at most limit bytes of it. The path may be a link.
func ReadFile(path string, limit int64) ([]byte, error) {
	file, err := open(path, path, os.Stat, os.OpenFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Read(file, limit)
}

// Read reads all of a file, which may have at most limit bytes.
func Read(file *os.File, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, refuse(file.Name(), fmt.Errorf("the file has more than %d bytes", limit))
	}
	return data, err
}

// Folder is a folder whose files are opened only if they are in it.
type Folder struct {
	dir  string
	root *os.Root
}

// Open opens a folder. The path may be a link, such as runs/latest/ID.
func Open(dir string) (*Folder, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, refuse(dir, errors.New("not a folder"))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Folder{dir, root}, nil
}

// Folder opens a folder in this one, which must not be a link.
func (f *Folder) Folder(name string) (*Folder, error) {
	dir := filepath.Join(f.dir, name)
	info, err := f.root.Lstat(name)
	if err != nil {
		return nil, named(dir, err)
	}
	if !info.IsDir() {
		return nil, refuse(dir, errors.New("not a folder"))
	}
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, named(dir, err)
	}
	return &Folder{dir, root}, nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Open opens a regular file of the folder for reading.
func (f *Folder) Open(name string) (*os.File, error) {
	return open(filepath.Join(f.dir, name), name, f.root.Lstat, f.root.OpenFile)
}

// open looks before it opens, because opening a device can have effects, and looks again in case it was replaced meanwhile.
func open(path, name string, stat func(string) (fs.FileInfo, error), openFile func(string, int, fs.FileMode) (*os.File, error)) (*os.File, error) {
	info, err := stat(name)
	if err != nil {
		return nil, named(path, err)
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	file, err := openFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, named(path, err)
	}
	info, err = file.Stat()
	if err == nil {
		err = regular(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func regular(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	what := "a special file"
	switch mode := info.Mode(); {
	case mode.IsDir():
		what = "a folder"
	case mode&fs.ModeSymlink != 0:
		what = "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		what = "a named pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	}
	return refuse(path, fmt.Errorf("%s, not a regular file", what))
}

func refuse(path string, why error) error { return &fs.PathError{Op: "open", Path: path, Err: why} }

// named gives an error the whole path.
func named(path string, err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return &fs.PathError{Op: "open", Path: path, Err: of.Err}
	}
	return err
}

// ReadIn reads a file of a folder.
func ReadIn(dir, name string, limit int64) ([]byte, error) {
	f, err := Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Read(file, limit)
}

// WriteIn writes a file of a folder, whole or not at all. A link of that name is replaced and not followed.
func WriteIn(dir, name string, data []byte) error {
	f, err := Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	unfinished := name + ".new"
	if err := f.root.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return named(filepath.Join(dir, unfinished), err)
	}
	file, err := f.root.OpenFile(unfinished, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return named(filepath.Join(dir, unfinished), err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = f.root.Rename(unfinished, name)
	}
	if err != nil {
		return errors.Join(err, f.root.Remove(unfinished))
	}
	return nil
}
