package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/kind/ownimage"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// flannel connects the nodes by VXLAN, in place of routes. Its pods are on a bridge of their node. It enforces no NetworkPolicies. Flanneld
// and its CNI plugin are built from the project's Go modules (make flannel). The objects are those of the project's manifest, with its
// names. Source: flannel Documentation/kube-flannel.yml.
var flannel = Plugin{Bridge: true, Overlay: true, Own: flannelImage, Install: installFlannel}

const (
	flannelName   = "kube-flannel"
	flannelConfig = "/etc/kube-flannel"
	flannelDir    = "/opt/flannel"
	// flannelSubnet is what flanneld tells the CNI plugin about a node, when it has connected it.
	flannelSubnet = "/run/flannel/subnet.env"
)

// flannelImage has flanneld, the CNI plugins that go to the nodes, and the commands that bring them there.
func flannelImage(ctx context.Context, bin string) (*ownimage.Image, error) {
	t := ownimage.Tree{}
	c := &ownimage.Closure{Tree: t}
	for _, name := range []string{"flanneld", "flannel", "bridge"} {
		path := filepath.Join(bin, "flannel", name)
		t.Folder(flannelDir, 0o755)
		if err := t.Copy(path, filepath.Join(flannelDir, name), 0o755); err != nil {
			return nil, fmt.Errorf("flannel's image: %w; make flannel builds it", err)
		}
		if err := c.Needs(ctx, path); err != nil {
			return nil, fmt.Errorf("flannel's image: %w", err)
		}
	}
	// It writes rules for nftables, and first removes those that it may have written for iptables.
	for _, name := range []string{"sh", "cp", "mv", "nft", "iptables", "iptables-save", "iptables-restore", "ip6tables"} {
		path, err := exec.LookPath(name)
		if err == nil {
			err = c.Add(ctx, path)
		}
		if err != nil {
			return nil, fmt.Errorf("flannel's image: %w", err)
		}
	}
	extensions, err := ownimage.Find(ownimage.Xtables...)
	for _, path := range extensions {
		err = errors.Join(err, c.Add(ctx, path))
	}
	if err != nil {
		return nil, fmt.Errorf("flannel's image: %w", err)
	}
	for _, folder := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/etc", "/var"} {
		t.Folder(folder, 0o755)
	}
	image, err := ownimage.Build("relapse.dev/flannel", t, flannelDir+"/flanneld")
	if err != nil {
		return nil, fmt.Errorf("flannel's image: %w", err)
	}
	return image, nil
}

func installFlannel(ctx context.Context, on Nodes) error {
	meta := metav1.ObjectMeta{Name: flannelName, Namespace: flannelName, Labels: map[string]string{"app": "flannel"}}
	cluster := metav1.ObjectMeta{Name: flannelName}
	client, create := on.Client, metav1.CreateOptions{}
	namespace := metav1.ObjectMeta{Name: flannelName, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}}
	for _, make := range []func() error{
		func() error {
			_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: namespace}, create)
			return err
		},
		func() error {
			_, err := client.CoreV1().ServiceAccounts(flannelName).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, create)
			return err
		},
		func() error {
			_, err := client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: cluster, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
				{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch"}},
				{APIGroups: []string{""}, Resources: []string{"nodes/status"}, Verbs: []string{"patch"}},
			}}, create)
			return err
		},
		func() error {
			_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
				ObjectMeta: cluster,
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: flannelName},
				Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: flannelName, Namespace: flannelName}},
			}, create)
			return err
		},
		func() error {
			_, err := client.CoreV1().ConfigMaps(flannelName).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: flannelFiles(on.PodCIDR)}, create)
			return err
		},
		func() error {
			_, err := client.AppsV1().DaemonSets(flannelName).Create(ctx, flannelDaemons(meta, on.Image), create)
			return err
		},
	} {
		if err := make(); err != nil {
			return err
		}
	}
	return await.Until(ctx, limits.Pods, limits.Poll, func(ctx context.Context) (string, error) { return missingFlannel(ctx, on) })
}

// missingFlannel says why flannel does not run on every node, or nothing.
func missingFlannel(ctx context.Context, on Nodes) (string, error) {
	set, err := on.Client.AppsV1().DaemonSets(flannelName).Get(ctx, flannelName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	works := 0 // a pod is ready before flanneld has begun
	for _, node := range on.Names {
		if _, err := on.Run(ctx, node, "", "test", "-e", flannelSubnet); err == nil {
			works++
		}
	}
	if works == len(on.Names) && int(set.Status.NumberReady) == works {
		return "", nil
	}
	why := fmt.Sprintf("flannel runs on %d of %d nodes, and has written %s on %d", set.Status.NumberReady, len(on.Names), flannelSubnet, works)
	trouble, err := kubestatus.Trouble(ctx, on.Client, flannelName, "")
	return why + trouble, err
}

// flannelFiles are flanneld's and the CNI plugin's configuration.
func flannelFiles(pods string) map[string]string {
	type object = map[string]any
	files := map[string]string{}
	var errs []error
	for name, config := range map[string]object{
		"net-conf.json": {"Network": pods, "EnableNFTables": true, "Backend": object{"Type": "vxlan"}},
		"cni-conf.json": {"cniVersion": "0.3.1", "name": "cbr0", "plugins": []object{
			{"type": "flannel", "delegate": object{"hairpinMode": true, "isDefaultGateway": true}},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		}},
	} {
		text, err := json.MarshalIndent(config, "", "  ")
		files[name] = string(text)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		panic(err) // strings and maps can always be encoded
	}
	return files
}

// installScript brings the plugins and their configuration to the node. The configuration is last, because it makes the node Ready;
// containerd reads the folder again when a file in it is renamed.
const installScript = `
for one in flannel bridge; do cp ` + flannelDir + `/$one /opt/cni/bin/.$one; mv -f /opt/cni/bin/.$one /opt/cni/bin/$one; done
cp ` + flannelConfig + `/cni-conf.json /etc/cni/net.d/.flannel; mv -f /etc/cni/net.d/.flannel /etc/cni/net.d/10-flannel.conflist
`

func flannelDaemons(meta metav1.ObjectMeta, image string) *appsv1.DaemonSet {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	folder := func(name, path string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: new(corev1.HostPathDirectoryOrCreate)}}}
	}
	mount := func(name, path string) corev1.VolumeMount { return corev1.VolumeMount{Name: name, MountPath: path} }
	return &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: meta.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels}, Spec: corev1.PodSpec{
			ServiceAccountName: flannelName, HostNetwork: true, PriorityClassName: "system-node-critical",
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			InitContainers: []corev1.Container{{
				Name: "install-cni", Image: image, ImagePullPolicy: corev1.PullNever, Command: []string{"sh", "-euc", installScript},
				VolumeMounts: []corev1.VolumeMount{mount("plugins", "/opt/cni/bin"), mount("networks", "/etc/cni/net.d"), mount("config", flannelConfig)},
			}},
			Containers: []corev1.Container{{
				Name: flannelName, Image: image, ImagePullPolicy: corev1.PullNever, Args: []string{"--ip-masq", "--kube-subnet-mgr"},
				Env:             []corev1.EnvVar{field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")},
				SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"}}},
				VolumeMounts:    []corev1.VolumeMount{mount("run", "/run/flannel"), mount("config", flannelConfig)},
			}},
			Volumes: []corev1.Volume{
				folder("run", "/run/flannel"), folder("plugins", "/opt/cni/bin"), folder("networks", "/etc/cni/net.d"),
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: flannelName}}}},
			},
		}},
	}}
}
