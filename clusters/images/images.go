// Package images lists the programs that a workload's pods can run, on every cluster. Nothing is pulled: the image's name selects a
// program of this machine.
package images

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/offers"

	corev1 "k8s.io/api/core/v1"
)

// Agent is the image of relapse's own programs.
const Agent = "relapse"

// image is a program of the machine that pods can run.
type image struct {
	// args of a container without command and args, as in the program's official image.
	args []string
	// install says how to get the program.
	install string
	// env names a variable with the program's path, for what distributions do not package.
	env string
	// version are the arguments that print its version.
	version string
}

// programs has the machine's programs by name, which is also the name of the image and of the command.
var programs = map[string]image{
	"nginx":   {args: []string{"-g", "daemon off;"}, install: "apt-get install nginx-light", version: "-v"},
	"haproxy": {args: []string{"-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"}, install: "apt-get install haproxy", version: "-v"},
	"envoy": {
		args: []string{"-c", "/etc/envoy/envoy.yaml"}, install: "put envoy on the PATH, or name it in RELAPSE_ENVOY", version: "--version",
		env: "RELAPSE_ENVOY",
	},
	"node": {install: "apt-get install nodejs", version: "--version"},
}

// Names lists the images of the machine's programs, sorted.
func Names() []string { return slices.Sorted(maps.Keys(programs)) }

// Known says whether an image is one of relapse's own or of the machine's programs, and not one of a registry.
func Known(image string) bool {
	_, known := programs[image]
	return known || image == Agent
}

// Check says what is wrong with a container's program. The error starts with the field.
func Check(c corev1.Container) error {
	_, known := programs[c.Image]
	switch {
	case c.Image == Agent:
		if len(c.Command) > 0 {
			return fmt.Errorf("command: the image %s takes only args, such as server ADDRESS, http ADDRESS or pause", Agent)
		}
		return checkArgs(c.Args)
	case !known:
		return fmt.Errorf("image: %q: must be one of %s, %s", c.Image, Agent, strings.Join(Names(), ", "))
	case len(c.Command) > 0 && c.Command[0] != c.Image:
		return fmt.Errorf("command[0]: %q: the image %s has only the program %s", c.Command[0], c.Image, c.Image)
	case len(c.Command) == 0 && len(c.Args) > 0:
		// With args alone a real image runs its entry point, which this one does not have.
		return fmt.Errorf("args: an image other than relapse needs command too, here command: [%s]", c.Image)
	}
	return nil
}

// Argv is the command line of a container that Check accepts, and the number of its words that are the program. Locate finds the program
// of an image in the container's file system.
func Argv(c corev1.Container, locate func(image string) (path string, err error)) (argv []string, command int, err error) {
	path, err := locate(c.Image)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case c.Image == Agent && len(c.Args) == 0:
		return []string{path, "pause"}, 1, nil
	case c.Image == Agent:
		return append([]string{path}, c.Args...), 1, nil
	case len(c.Command) == 0:
		return append([]string{path}, programs[c.Image].args...), 1, nil
	}
	argv = append([]string{path}, c.Command[1:]...)
	return append(argv, c.Args...), len(argv), nil
}

// Find looks for a program at the path in its variable, and on the PATH.
func Find(name string) (string, error) {
	i := programs[name]
	if path := os.Getenv(i.env); i.env != "" && path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", i.env, err)
		}
		return filepath.Abs(found)
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not on the PATH; %s", name, i.install)
	}
	return filepath.Abs(found)
}

// Offer says whether this machine has a program.
func Offer(name string) offers.Offer {
	path, err := Find(name)
	if err != nil {
		return offers.Offer{Why: err.Error()}
	}
	return offers.Offer{OK: true, Why: "found: " + path}
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+\S*`)

// Version is the first version number that a program prints, or nothing.
func Version(ctx context.Context, name string) string {
	path, err := Find(name)
	if err != nil {
		return ""
	}
	output, err := exec.CommandContext(ctx, path, programs[name].version).CombinedOutput() // nginx prints it on standard error
	if err != nil {
		return ""
	}
	return versionNumber.FindString(string(output))
}
