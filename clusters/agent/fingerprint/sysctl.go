package fingerprint

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// volatile are the settings that are left out, as patterns of paths under /proc/sys/net, with the reason.
var volatile = []struct{ pattern, why string }{
	{"netfilter/nf_conntrack_count", "a counter: the number of entries now"},
	{"ipv4/route/flush", "an order, not a setting"},
	{"ipv6/route/flush", "an order, not a setting"},
	{"ipv6/conf/*/stable_secret", "a secret, which has no place in a report"},
	{"ipv4/tcp_fastopen_key", "a secret, made up when it is first needed"},
	{"core/netdev_rss_key", "made up when it is first needed"},
	{"ipv4/tcp_available_congestion_control", "grows when a module is loaded, and modules stay"},
	{"ipv4/tcp_allowed_congestion_control", "grows when a module is loaded, and modules stay"},
	{"ipv4/tcp_available_ulp", "grows when a module is loaded, and modules stay"},
	{"mptcp/available_schedulers", "grows when a module is loaded, and modules stay"},
	{"mptcp/available_path_managers", "grows when a module is loaded, and modules stay"},
}

// machineWide are the settings of the whole machine that every namespace shows. They are recorded only on the host: otherwise every node
// and pod would report a change that another run makes.
var machineWide = []string{
	"nf_conntrack_max", "netfilter/nf_conntrack_max", "netfilter/nf_conntrack_buckets", "netfilter/nf_conntrack_expect_max",
}

func (w *sysctlWalk) isLeftOut(file string) bool {
	for _, v := range volatile {
		if ok, _ := path.Match(v.pattern, file); ok {
			return true
		}
	}
	return !w.host && slices.Contains(machineWide, file)
}

// takeSysctls reads every setting under net. They are a thousand small files, so it uses plain system calls relative to the open folder:
// no path is resolved twice and nothing is registered with Go's poller.
func (fp *Fingerprint) takeSysctls(host bool) error {
	fd, err := unix.Open("/proc/sys/net", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/proc/sys/net: %w", err)
	}
	w := sysctlWalk{host: host, values: map[string]string{}, dents: make([]byte, 32<<10), value: make([]byte, 16<<10)}
	if err := w.folder(fd, ""); err != nil {
		return err
	}
	fp.Sysctls = w.values
	return nil
}

type sysctlWalk struct {
	host   bool
	values map[string]string
	dents  []byte
	value  []byte
}

// folder reads the content of the open folder fd, and closes it.
func (w *sysctlWalk) folder(fd int, name string) error {
	defer func() { _ = unix.Close(fd) }()
	names, err := w.list(fd)
	if err != nil {
		return fmt.Errorf("/proc/sys/net/%s: %w", name, err)
	}
	for _, entry := range names {
		full := name + entry
		if w.isLeftOut(full) {
			continue
		}
		child, err := unix.Openat(fd, entry, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			// The link was deleted meanwhile, or the setting is write-only.
			continue
		}
		if err != nil {
			return fmt.Errorf("/proc/sys/net/%s: %w", full, err)
		}
		n, err := unix.Read(child, w.value)
		if errors.Is(err, unix.EISDIR) {
			if err := w.folder(child, full+"/"); err != nil {
				return err
			}
			continue
		}
		_ = unix.Close(child)
		if err != nil {
			// The kernel refuses to read some settings that are not set, and those of a link that is being deleted.
			continue
		}
		w.values[undo.SysctlKey("/proc/sys/net/"+full)] = strings.TrimRight(string(w.value[:n]), "\n")
	}
	return nil
}

func (w *sysctlWalk) list(fd int) ([]string, error) {
	var names []string
	for {
		n, err := unix.ReadDirent(fd, w.dents)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(w.dents[:n], -1, names)
	}
}

// sysctlLink is the link that a setting belongs to, as in net.ipv4.conf.eth0.rp_filter.
func sysctlLink(key string) string {
	parts := strings.Split(key, ".")
	if len(parts) < 5 || parts[0] != "net" || (parts[2] != "conf" && parts[2] != "neigh") {
		return ""
	}
	if parts[3] == "all" || parts[3] == "default" {
		return ""
	}
	return strings.ReplaceAll(parts[3], "/", ".")
}
