package agents

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/onkind/contain"
	"github.com/relapse-k8s/relapse/clusters/images"
)

// givenDir has a folder for each ConfigMap, mounted for the container's supervisor.
const givenDir = "/run/relapse/given"

// Contain rewrites a pod of a workload for this image: the program of each container that has the name of a known program as its image
// becomes a child of relapse-agent contain, which the pod's agent can ask to restart it. All other images are real ones. A ConfigMap is mounted in another folder, and its files are copied to the place that the pod names,
// because there they can be replaced. So a program does not see changes of the ConfigMap, and can write to its own copy.
func (i *Image) Contain(pod *corev1.PodSpec) error {
	copies := 0
	for _, list := range []struct {
		field      string
		containers []corev1.Container
	}{{"initContainers", pod.InitContainers}, {"containers", pod.Containers}} {
		for n := range list.containers {
			c := &list.containers[n]
			if !images.Known(c.Image) {
				if c.ImagePullPolicy == "" {
					c.ImagePullPolicy = corev1.PullIfNotPresent // it may have been loaded into the nodes
				}
				continue
			}
			if err := images.Check(*c); err != nil {
				return fmt.Errorf("spec.%s[%d].%w", list.field, n, err)
			}
			if err := i.contain(pod, c, &copies); err != nil {
				return fmt.Errorf("spec.%s[%d]: %w", list.field, n, err)
			}
		}
	}
	return nil
}

func (i *Image) contain(pod *corev1.PodSpec, c *corev1.Container, copies *int) error {
	argv, command, err := images.Argv(*c, i.locate)
	if err != nil {
		return err
	}
	self := contain.Container{Name: c.Name, Argv: argv, Command: command}
	var mounts []corev1.VolumeMount
	given := map[string]bool{}
	for _, mount := range c.VolumeMounts {
		if !isConfigMap(pod, mount.Name) {
			mounts = append(mounts, mount)
			continue
		}
		from := path.Join(givenDir, mount.Name)
		if !given[mount.Name] {
			given[mount.Name] = true
			mounts = append(mounts, corev1.VolumeMount{Name: mount.Name, MountPath: from, ReadOnly: true})
		}
		if mount.SubPath == "" {
			// An empty folder, to hide what the image has at this path, as mounting the ConfigMap itself would.
			*copies++
			name := fmt.Sprintf("relapse-copy-%d", *copies)
			pod.Volumes = append(pod.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
			mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: mount.MountPath})
		}
		self.Copies = append(self.Copies, contain.Copy{From: path.Join(from, mount.SubPath), To: path.Clean(mount.MountPath)})
	}
	c.VolumeMounts = mounts
	c.Image, c.ImagePullPolicy = i.Ref(), corev1.PullNever
	c.Command, c.Args = []string{agentPath, "contain"}, self.Words()
	return nil
}

// locate finds a program in the image.
func (i *Image) locate(image string) (string, error) {
	if image == images.Agent {
		return agentPath, nil
	}
	if found := i.paths[image]; found != "" {
		return found, nil
	}
	return "", fmt.Errorf("image: %q: the agent's image has no %s: %s", image, image, Lacking(image))
}

func isConfigMap(pod *corev1.PodSpec, volume string) bool {
	for _, v := range pod.Volumes {
		if v.Name == volume {
			return v.ConfigMap != nil
		}
	}
	return false
}
