package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

const (
	// user is the user and group id of a pod's programs in their user namespace, nobody's.
	user = 65534
	// firstID is the first of the ids, up to 2^31, that no system gives to users or containers. Source: systemd UIDS-GIDS.
	firstID = 0x70000000
)

// Confine makes a command that is not started yet a pod's program: with namespaces of its own except for the network, as a user that owns
// nothing on the machine, without a terminal. Output are its pipes, which it may open again as /dev/stderr. Restrict does the rest.
func Confine(cmd *exec.Cmd, output ...io.Reader) error {
	id, err := OwnID()
	if err != nil {
		return err
	}
	path, err := find(cmd.Args[0], id)
	if err != nil {
		return err
	}
	for _, pipe := range output {
		if file, ok := pipe.(*os.File); ok {
			if err := file.Chown(id, id); err != nil {
				return err
			}
		}
	}
	setgroups, err := os.ReadFile("/proc/self/setgroups")
	if err != nil {
		return err
	}
	// An ordinary user cannot lay down groups in a user namespace.
	denied := strings.TrimSpace(string(setgroups)) == "deny"
	cmd.Path, cmd.Args = "/proc/self/exe", append([]string{"relapse-agent", "restrict", path}, cmd.Args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: user, HostID: id, Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: user, HostID: id, Size: 1}},
		GidMappingsEnableSetgroups: !denied,
		Credential:                 &syscall.Credential{Uid: user, Gid: user, NoSetGroups: denied},
		AmbientCaps:                []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE, unix.CAP_SETPCAP}, // until Restrict
		Setsid:                     true,
	}
	return nil
}

// find finds a program, and refuses one that the user may not run.
func find(name string, id int) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if id != os.Geteuid() && info.Mode().Perm()&0o005 != 0o005 {
		return "", fmt.Errorf("%s can be run only by its owner, and pods' programs are run as another user: chmod 755 %[1]s", path)
	}
	return path, nil
}

// OwnID is the user and group id on the machine of this sandbox's programs. For root it is one that no other namespace has; an ordinary
// user has only one id.
func OwnID() (int, error) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 0, err
	}
	var inside, outside, size int
	if _, err := fmt.Sscan(string(text), &inside, &outside, &size); err != nil {
		return 0, fmt.Errorf("/proc/self/uid_map: %q: %w", text, err)
	}
	netns, err := procs.Netns(0)
	if err != nil {
		return 0, err
	}
	if id := firstID | int(netns&0xfffffff); inside+size > id {
		return id, nil
	}
	return os.Geteuid(), nil
}

// limits of one program. NPROC counts the processes of the user namespace, since Linux 5.14.
var limits = map[int]uint64{
	unix.RLIMIT_NPROC: 512, unix.RLIMIT_NOFILE: 1 << 16, unix.RLIMIT_DATA: 2 << 30, unix.RLIMIT_FSIZE: 64 << 20, unix.RLIMIT_CORE: 0,
}

// Restrict is what Confine starts: it takes from this process what it does not need, and becomes the program at a path, which is then the
// init of its namespaces, as in a container.
func Restrict(path string, argv []string) error {
	runtime.LockOSThread() // rights belong to a thread
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, target := range []string{"/", "/run/relapse"} {
		if err := restrict(target, 0); err != nil {
			return err
		}
	}
	for file, value := range map[string]string{
		"/proc/sys/user/max_user_namespaces": "0",    // in another user namespace it would have capabilities again
		"/proc/self/oom_score_adj":           "1000", // the kernel ends it first if memory runs out
	} {
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			return err
		}
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("keyring: %w", err)
	}
	for which, value := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(which, &now); err != nil {
			return fmt.Errorf("getrlimit %d: %w", which, err)
		}
		value = min(value, now.Max)
		if err := unix.Setrlimit(which, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("setrlimit %d: %w", which, err)
		}
	}
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if err := restrictSockets(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

// dropCapabilities leaves no way to get one back.
func dropCapabilities() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}
