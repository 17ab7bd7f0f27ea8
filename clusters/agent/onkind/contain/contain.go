// Package contain runs the program of a pod's container, as its first process, and lets the pod's agent start it again with other
// arguments or files: a container cannot be changed while it runs, and a new pod would be another place.
package contain

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

// Socket is where a container's supervisor listens, in its own file system.
const Socket = "/run/relapse/contain.sock"

// Container is what a supervisor is told on its command line.
type Container struct {
	// Name of the container.
	Name string
	// Argv is the program, and Command how many of its words are not its arguments.
	Argv    []string
	Command int
	// Copies are folders or files that are copied before the start: those of a ConfigMap, which the kubelet mounts read-only.
	Copies []Copy
}

// Copy is a folder or a file, and where the program looks for it.
type Copy struct{ From, To string }

// Words are those of the command line that Parse reads.
func (c Container) Words() []string {
	words := []string{c.Name, "command=" + strconv.Itoa(c.Command)}
	for _, one := range c.Copies {
		words = append(words, "copy="+one.From+":"+one.To)
	}
	return append(append(words, "--"), c.Argv...)
}

// Parse reads NAME [command=N] [copy=FROM:TO]... -- ARGV...
func Parse(words []string) (Container, error) {
	c := Container{Command: 1}
	separator := slices.Index(words, "--")
	if separator < 1 || separator == len(words)-1 {
		return c, errors.New("contain: give NAME [command=N] [copy=FROM:TO]... -- PROGRAM [ARGUMENT]...")
	}
	c.Name, c.Argv = words[0], words[separator+1:]
	for _, word := range words[1:separator] {
		key, value, _ := strings.Cut(word, "=")
		from, to, two := strings.Cut(value, ":")
		switch {
		case key == "command":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > len(c.Argv) {
				return c, fmt.Errorf("contain: %s: there are %d words", word, len(c.Argv))
			}
			c.Command = n
		case key == "copy" && two && filepath.IsAbs(from) && filepath.IsAbs(to):
			c.Copies = append(c.Copies, Copy{from, to})
		default:
			return c, fmt.Errorf("contain: %q is not understood; there are command=N and copy=FROM:TO", word)
		}
	}
	return c, nil
}

// spec is the program with the files that are there now.
func (c Container) spec() (program.Spec, error) {
	s := program.Spec{Name: c.Name, Argv: c.Argv, Command: c.Command, Files: map[string]string{}}
	for _, one := range c.Copies {
		if err := one.read(s.Files); err != nil {
			return s, fmt.Errorf("contain: %w", err)
		}
	}
	return s, nil
}

// read adds the files by where they go. The kubelet's own entries begin with two dots; the files are links into those.
// Source: Kubernetes pkg/volume/util/atomic_writer.go.
func (c Copy) read(into map[string]string) error {
	info, err := os.Stat(c.From)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return readFile(c.From, c.To, into)
	}
	entries, err := os.ReadDir(c.From)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		if err := readFile(filepath.Join(c.From, entry.Name()), filepath.Join(c.To, entry.Name()), into); err != nil {
			return err
		}
	}
	return nil
}

func readFile(from, to string, into map[string]string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if !utf8.Valid(text) {
		return fmt.Errorf("%s is no text: only text can be given to a program that is started again", from)
	}
	into[to] = string(text)
	return nil
}

// Exit is the status that a program has ended with, for its supervisor to end with.
type Exit int

// Error says so.
func (e Exit) Error() string { return fmt.Sprintf("the program ended with status %d", int(e)) }

// Output is where a container's output goes.
type Output struct{ Stdout, Stderr io.Writer }
