package lab

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/images"
)

// corednsImage is the image of the cluster's own DNS, which no workload has.
const corednsImage = "coredns"

// checkImage says what is wrong with a container's program; the error begins with the field.
func checkImage(namespace string, c corev1.Container) error {
	if c.Image == corednsImage && namespace == metav1.NamespaceSystem {
		return nil
	}
	if programs := []string{"server", "http", "pause"}; c.Image == images.Agent && len(c.Args) > 0 && !slices.Contains(programs, c.Args[0]) {
		return fmt.Errorf("args[0]: %q: must be one of %s", c.Args[0], strings.Join(programs, ", "))
	}
	return images.Check(c)
}

// argv is what to run in a container, and how many of its words are the program rather than its args.
func (l *Lab) argv(c corev1.Container) (argv []string, command int, err error) {
	return images.Argv(c, func(image string) (string, error) {
		if image == images.Agent {
			return filepath.Join(l.Bin, "relapse-agent"), nil
		}
		return images.Find(image)
	})
}
