package lab

import (
	"path/filepath"

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
