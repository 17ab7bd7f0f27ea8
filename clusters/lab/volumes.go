package lab

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
)

// checkVolumes says what is wrong with a pod's volumes and with the paths at which its containers mount them.
func (w workload) checkVolumes(pod *corev1.Pod) []error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("Pod %s: "+format, append([]any{pod.Name}, args...)...))
	}
	names := map[string]bool{}
	for i, volume := range pod.Spec.Volumes {
		switch {
		case len(validation.IsDNS1123Label(volume.Name)) > 0: // it is a folder's name in the sandbox
			wrong("spec.volumes[%d].name: %q: must be letters, digits and -", i, volume.Name)
		case names[volume.Name]:
			wrong("spec.volumes[%d].name: there is another volume %q", i, volume.Name)
		case volume.ConfigMap == nil:
			wrong("spec.volumes[%d]: the lab has only volumes of a configMap", i)
		case w.configMap(pod.Namespace, volume.ConfigMap.Name) == nil:
			wrong("spec.volumes[%d].configMap.name: there is no ConfigMap %q in namespace %s", i, volume.ConfigMap.Name, pod.Namespace)
		default:
			for _, key := range slices.Sorted(maps.Keys(w.configMap(pod.Namespace, volume.ConfigMap.Name).Data)) {
				if len(validation.IsConfigMapKey(key)) > 0 {
					wrong("spec.volumes[%d].configMap: %q is not a name of a file", i, key)
				}
			}
		}
		names[volume.Name] = true
	}
	targets := map[string]bool{}
	for i, c := range pod.Spec.Containers {
		for j, mount := range c.VolumeMounts {
			field := fmt.Sprintf("spec.containers[%d].volumeMounts[%d]", i, j)
			switch clean := path.Clean(mount.MountPath); {
			case !names[mount.Name]:
				wrong("%s.name: the pod has no volume %q", field, mount.Name)
			case !sandbox.CanMount(clean):
				wrong("%s.mountPath: %q: must be a path below %s, and not below /run/relapse", field, mount.MountPath, strings.Join(sandbox.Mountable, ", "))
			case targets[clean]:
				wrong("%s.mountPath: %s is taken; the containers of a pod have one file system here", field, clean)
			case mount.SubPath != "" && !w.hasKey(pod, mount):
				wrong("%s.subPath: the ConfigMap has no key %q", field, mount.SubPath)
			default:
				targets[clean] = true
			}
		}
	}
	return errs
}

func (w workload) configMap(namespace, name string) *corev1.ConfigMap {
	for _, m := range w.configMaps {
		if m.Namespace == namespace && m.Name == name {
			return m
		}
	}
	return nil
}

// mounted returns the ConfigMap behind a mount of a pod.
func (w workload) mounted(pod *corev1.Pod, mount corev1.VolumeMount) *corev1.ConfigMap {
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
	if i < 0 || pod.Spec.Volumes[i].ConfigMap == nil {
		return nil
	}
	return w.configMap(pod.Namespace, pod.Spec.Volumes[i].ConfigMap.Name)
}

func (w workload) hasKey(pod *corev1.Pod, mount corev1.VolumeMount) bool {
	m := w.mounted(pod, mount)
	if m == nil {
		return true // which was said of the volume
	}
	_, ok := m.Data[mount.SubPath]
	return ok
}

// mounts returns what the sandbox of a pod mounts. A mount point that neither is on this machine nor can be made is an error.
func (w workload) mounts(pod *corev1.Pod) ([]sandbox.Mount, error) {
	var all []sandbox.Mount
	for i, c := range pod.Spec.Containers {
		for j, mount := range c.VolumeMounts {
			m := w.mounted(pod, mount)
			one := sandbox.Mount{Volume: mount.Name, Target: path.Clean(mount.MountPath), Key: mount.SubPath, Keys: slices.Sorted(maps.Keys(m.Data))}
			if err := one.Check(); err != nil {
				return nil, fmt.Errorf("Pod %s: spec.containers[%d].volumeMounts[%d].mountPath: %w", pod.Name, i, j, err)
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// files lists the ConfigMap files of a container, where they are kept in its sandbox.
func (w workload) files(pod *corev1.Pod, c corev1.Container) map[string]string {
	files := map[string]string{}
	for _, mount := range c.VolumeMounts {
		for key, text := range w.mounted(pod, mount).Data {
			if mount.SubPath == "" || mount.SubPath == key {
				files[filepath.Join(sandbox.VolumeDir(mount.Name), key)] = text
			}
		}
	}
	return files
}
