package agents

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/kind/ownimage"
)

// tools are the commands that evidence and changes need. If one of them is missing, the image cannot be built.
var tools = []string{"sh", "cat", "getent", "sysctl", "ip", "ss", "nft", "conntrack", "iptables", "iptables-save"}

// moreTools are added if they are installed. Links select the version of iptables, and are kept.
var moreTools = func() []string {
	var all []string
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, variant := range []string{"", "-nft", "-legacy"} {
			for _, action := range []string{"", "-save", "-restore"} {
				all = append(all, family+variant+action)
			}
		}
	}
	return append(all, "ps", "ping")
}()

// loaded are files that programs open only at run time, so no program names them as needed.
var loaded = []string{
	// Older C libraries have these parts of their resolver in files of their own.
	"/lib/*/libnss_files.so.2", "/lib64/libnss_files.so.2", "/lib/libnss_files.so.2",
	"/lib/*/libnss_dns.so.2", "/lib64/libnss_dns.so.2", "/lib/libnss_dns.so.2",
	"/lib/*/libresolv.so.2", "/lib64/libresolv.so.2", "/lib/libresolv.so.2",
	// nginx modules that its configuration may name.
	"/usr/share/nginx/modules/*.so", "/usr/lib/nginx/modules/*.so", "/usr/lib64/nginx/modules/*.so",
}

// texts are files that programs read, and the dynamic loader's cache: libraries need not be in the loader's own folders. Nginx's
// configuration is only that of the package, without this machine's sites.
var texts = []string{
	"/etc/ld.so.cache", "/etc/protocols", "/etc/services", "/etc/iproute2", "/usr/share/iproute2", "/etc/ssl/openssl.cnf",
	"/etc/nginx/nginx.conf", "/etc/nginx/mime.types", "/etc/nginx/*_params", "/etc/nginx/fastcgi.conf", "/etc/nginx/modules-enabled",
}

// users that programs may run as. Root always exists.
var users = []string{"root", "nobody", "www-data", "nginx", "haproxy"}

// servers are the programs that pods can run in addition to the agent's own. Node.js is not one of them: no scenario uses it, and it is
// as large as all others together.
var servers = slices.DeleteFunc(images.Names(), func(name string) bool { return name == "node" })

// Lacking says why a program is not in the image.
func Lacking(program string) string {
	if !slices.Contains(servers, program) {
		return "it is left out for its size"
	}
	return "this machine, from whose files the image is made, has none"
}

// collector adds what the image consists of.
type collector struct{ ownimage.Closure }

// Content collects the files of the image, and returns the versions and the paths in it of the programs that pods can run. Bin is the folder
// of relapse's own programs.
func Content(ctx context.Context, bin string) (t ownimage.Tree, programs, paths map[string]string, err error) {
	t = ownimage.Tree{}
	c := &collector{ownimage.Closure{Tree: t}}
	for _, name := range []string{"relapse-agent", "relapse-coredns"} {
		path, err := filepath.Abs(filepath.Join(bin, name))
		if err == nil {
			err = errors.Join(t.Copy(path, "/"+name, 0o755), c.Needs(ctx, path))
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%w; make build makes it", err)
		}
	}
	if err := c.tools(ctx); err != nil {
		return nil, nil, nil, err
	}
	programs, paths, err = c.servers(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := t.AddAll(texts...); err != nil {
		return nil, nil, nil, err
	}
	system(t)
	return t, programs, paths, nil
}

// tools adds the network tools and the resolver.
func (c *collector) tools(ctx context.Context) error {
	var missing []string
	for _, name := range tools {
		path, err := exec.LookPath(name)
		if err != nil {
			missing = append(missing, name)
			continue
		}
		if err := c.Add(ctx, path); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the agent's image needs %s, which this machine does not have; make deps installs what relapse needs", strings.Join(missing, ", "))
	}
	for _, name := range moreTools {
		if path, err := exec.LookPath(name); err == nil {
			if err := c.Add(ctx, path); err != nil {
				return err
			}
		}
	}
	found, err := ownimage.Find(slices.Concat(loaded, ownimage.Xtables)...)
	if err != nil {
		return err
	}
	for _, path := range found {
		if err := c.Add(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// nginxPath is a path that nginx was built with: its folder must exist.
var nginxPath = regexp.MustCompile(`--[a-z-]+-path=(/\S+)`)

// servers adds the programs of pods that this machine has, and returns their versions and paths.
func (c *collector) servers(ctx context.Context) (versions, paths map[string]string, err error) {
	versions, paths = map[string]string{}, map[string]string{}
	for _, name := range servers {
		path, err := images.Find(name)
		if err != nil {
			continue // not installed, so not offered
		}
		if err := c.Add(ctx, path); err != nil {
			return nil, nil, err
		}
		versions[name], paths[name] = images.Version(ctx, name), path
	}
	if path := paths["nginx"]; path != "" {
		output, err := exec.CommandContext(ctx, path, "-V").CombinedOutput()
		if err != nil {
			return nil, nil, fmt.Errorf("%s -V: %w: %s", path, err, output)
		}
		for _, m := range nginxPath.FindAllSubmatch(output, -1) {
			c.Tree.Folder(filepath.Dir(string(m[1])), 0o755)
		}
	}
	return versions, paths, nil
}

// system adds what every container has.
func system(t ownimage.Tree) {
	// Only the cluster's DNS may answer, neither a resolver of the machine nor multicast DNS.
	t.Put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n")
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		t.Put(file, accounts(file))
	}
	// The runtime mounts the pod's own files over them.
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"} {
		t.Put(file, "")
	}
	for _, folder := range []string{"/proc", "/sys", "/dev", "/run", "/root", "/var/lib"} {
		t.Folder(folder, 0o755)
	}
	t.Folder("/tmp", 0o777|fs.ModeSticky)
	if _, ok := t["/var/run"]; !ok {
		t.Link("/var/run", "/run")
	}
}

// accounts are the lines of this machine's passwd or group that programs need, with the same ids.
func accounts(file string) string {
	text, _ := os.ReadFile(file)
	lines := map[string]string{"root": map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/sh", "/etc/group": "root:x:0:"}[file]}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, ":")
		if name != "root" && slices.Contains(append(users, "nogroup"), name) {
			lines[name] = strings.TrimSpace(line)
		}
	}
	var all strings.Builder
	for _, name := range append(users, "nogroup") {
		if lines[name] != "" {
			fmt.Fprintln(&all, lines[name])
		}
	}
	return all.String()
}
