package deploy

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"
)

// bin is the folder of relapse's programs.
func bin(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("RELAPSE_BIN")
	if dir == "" {
		dir, _ = filepath.Abs("../../bin")
	}
	for _, program := range []string{"relapse", "relapse-agent", "relapse-coredns", "relapse-kube-proxy"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			t.Skipf("needs the programs of make build: %v", err)
		}
	}
	return dir
}

// archive saves the image, and reads it as a runtime does.
func archive(t *testing.T) (files *tar.Reader, layers int) {
	t.Helper()
	g := NewWithT(t)
	image, err := Image(t.Context(), bin(t))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(image.Ref()).To(MatchRegexp(`^relapse\.dev/relapse:sha-[0-9a-f]{12}$`))
	path := filepath.Join(t.TempDir(), "relapse.tar")
	g.Expect(image.Save(path)).To(Succeed())
	saved, err := tarball.ImageFromPath(path, nil)
	g.Expect(err).NotTo(HaveOccurred())
	list, err := saved.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	config, err := saved.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Config.Entrypoint).To(Equal([]string{"/relapse"}))
	content := mutate.Extract(saved)
	t.Cleanup(func() { _ = content.Close() })
	return tar.NewReader(content), len(list)
}

func TestTheImageHasWhatALabNeedsAndNothingOfThisMachine(t *testing.T) {
	g := NewWithT(t)
	files, layers := archive(t)
	g.Expect(layers).To(Equal(1))
	found := map[string]bool{}
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		g.Expect(err).NotTo(HaveOccurred())
		name := "/" + strings.TrimSuffix(header.Name, "/")
		found[name] = true
		g.Expect([]int{header.Uid, header.Gid}).To(Equal([]int{0, 0}), name)
		g.Expect(header.Mode&0o7000).To(Or(BeZero(), BeEquivalentTo(0o1000)), "%s: no program runs as its owner", name)
		g.Expect(name).NotTo(MatchRegexp(`^/(home|root)/|/\.|shadow|ssh`))
	}
	for _, name := range []string{"/relapse", "/relapse-agent", "/relapse-coredns", "/relapse-kube-proxy", "/results", "/run", "/tmp"} {
		g.Expect(found).To(HaveKey(name))
	}
	for _, tool := range []string{"sh", "nft", "iptables", "conntrack", "ip", "tar", "sleep"} {
		path, err := exec.LookPath(tool)
		g.Expect(err).NotTo(HaveOccurred())
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found[path] || found[filepath.Join(folder, tool)]).To(BeTrue(), tool)
	}
}

// container runs a command in an unpacked image: with namespaces, mounts and rights as a runtime gives them to the Job's container.
const container = `
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs tmpfs proc/acpi 2>/dev/null || true
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do : >dev/$device; mount --bind /dev/$device dev/$device; done
mount --bind results results
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -o remount,bind,ro "$root"
ip link set lo up
mkdir run/old
pivot_root . run/old
cd /
exec /bin/sh -ec '"$@"' sh "$@"
`

func TestAShardRunsInALabOfTheImageWithTheRightsOfTheJob(t *testing.T) {
	if testing.Short() || os.Geteuid() != 0 {
		t.Skip("runs a scenario, and needs root")
	}
	g := NewWithT(t)
	root := t.TempDir()
	files, _ := archive(t)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		g.Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			g.Expect(os.MkdirAll(path, 0o755)).To(Succeed())
		case tar.TypeSymlink:
			g.Expect(os.Symlink(header.Linkname, path)).To(Succeed())
		default:
			file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(header.Mode))
			g.Expect(err).NotTo(HaveOccurred())
			_, err = io.Copy(file, files)
			g.Expect(errors.Join(err, file.Close())).To(Succeed())
		}
	}
	rights := "-all"
	for _, c := range capabilities {
		rights += ",+" + strings.ToLower(c.Name)
	}
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set="+rights, "--inh-caps=-all", "--",
		"unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "/bin/sh", "-ec", container, "sh", root,
		"/relapse", "run", "hairpin-off", "ip-forward-off", "--shard", "2/2", "--json", "--out", "/results/shard-1")
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := cmd.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), "%s", output)
	g.Expect(string(output)).To(And(ContainSubstring(`"number": 2`), ContainSubstring(`"outcome": "pass"`)))
	verdicts, err := filepath.Glob(filepath.Join(root, "results/shard-1/*/verdict.json"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(verdicts).To(HaveLen(1), "the other scenario is another shard's")
}
