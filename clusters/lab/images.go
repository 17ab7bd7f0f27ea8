package lab

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

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters"
)

// The lab's own images. There is nothing to pull: what looks like an image's name says which program runs in the pod.
const (
	agentImage   = "relapse"
	corednsImage = "coredns"
)

// image is a program of the machine that pods can run; the key of proxies is its name, as command and as image.
type image struct {
	// args of a container that gives neither command nor args, as the project's own image has them.
	args []string
	// install says how to get the program.
	install string
	// env names a variable with the program's path, for what distributions do not package.
	env string
	// version are the arguments that make it print its version.
	version string
}

var proxies = map[string]image{
	"nginx":   {args: []string{"-g", "daemon off;"}, install: "apt-get install nginx-light", version: "-v"},
	"haproxy": {args: []string{"-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"}, install: "apt-get install haproxy", version: "-v"},
	"envoy": {
		args: []string{"-c", "/etc/envoy/envoy.yaml"}, install: "put envoy on the PATH, or name it in RELAPSE_ENVOY", version: "--version",
		env: "RELAPSE_ENVOY",
	},
	"node": {install: "apt-get install nodejs", version: "--version"},
}

// checkImage says what is wrong with a container's program; the error begins with the field.
func checkImage(namespace string, c corev1.Container) error {
	_, proxy := proxies[c.Image]
	switch {
	case c.Image == corednsImage && namespace == metav1.NamespaceSystem:
	case c.Image == agentImage:
		if len(c.Command) > 0 {
			return fmt.Errorf("command: the image %s takes only args, such as server ADDRESS, http ADDRESS or pause", agentImage)
		}
	case !proxy:
		return fmt.Errorf("image: %q: the lab runs only the images %s, %s", c.Image, agentImage, strings.Join(slices.Sorted(maps.Keys(proxies)), ", "))
	case len(c.Command) > 0 && c.Command[0] != c.Image:
		return fmt.Errorf("command[0]: %q: the image %s has only the program %s", c.Command[0], c.Image, c.Image)
	case len(c.Command) == 0 && len(c.Args) > 0:
		// What an image does with arguments alone is up to its entry point, which the lab does not have.
		return fmt.Errorf("args: give %s as command, and these as its arguments", c.Image)
	}
	return nil
}

// argv is what to run in a container, and how many of its words are the program rather than its args.
func (l *Lab) argv(c corev1.Container) (argv []string, command int, err error) {
	if c.Image == agentImage {
		argv = []string{filepath.Join(l.Bin, "relapse-agent")}
		if len(c.Args) == 0 {
			return append(argv, "pause"), 1, nil
		}
		return append(argv, c.Args...), 1, nil
	}
	path, err := findProgram(c.Image)
	if err != nil {
		return nil, 0, err
	}
	if len(c.Command) == 0 {
		return append([]string{path}, proxies[c.Image].args...), 1, nil
	}
	argv = append([]string{path}, c.Command[1:]...)
	return append(argv, c.Args...), len(argv), nil
}

// findProgram looks where the variable says, on the PATH, and where Debian keeps what an ordinary user's PATH does not have.
func findProgram(name string) (string, error) {
	i := proxies[name]
	if path := os.Getenv(i.env); i.env != "" && path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", i.env, err)
		}
		return filepath.Abs(found)
	}
	found, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(found)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s is not on the PATH; %s", name, i.install)
}

func offerProgram(name string) clusters.Offer {
	path, err := findProgram(name)
	if err != nil {
		return clusters.Offer{Why: err.Error()}
	}
	return clusters.Offer{OK: true, Why: "found: " + path}
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+\S*`)

// programVersion is the first version number that a program prints, or nothing.
func programVersion(ctx context.Context, name string) string {
	path, err := findProgram(name)
	if err != nil {
		return ""
	}
	output, err := exec.CommandContext(ctx, path, proxies[name].version).CombinedOutput() // nginx prints it on standard error
	if err != nil {
		return ""
	}
	return versionNumber.FindString(string(output))
}
