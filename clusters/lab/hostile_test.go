package lab_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/lab"
)

// hostile is what a scenario file of a stranger may hold, one attack in each file of testdata/hostile. In all texts @home@, @pid@, @victim@
// and @socket@ stand for a folder, processes and a socket of the machine.
type hostile struct {
	Tries string
	// Workload are Kubernetes objects. Script is short for a pod whose program, Node.js, runs it in a shell.
	Workload []map[string]any
	Script   string
	// Prints are texts that the programs must print.
	Prints []string
	// Refused are parts of the errors for the workload, if it must not come to a lab at all.
	Refused []string
	// Evidence are commands that must be refused.
	Evidence [][]string
}

// ended is what a hostile program prints last.
const ended = "the attack has ended"

// logFull is the last line that is kept of a log without end.
const logFull = "relapse: this log has reached its limit of 16 MiB; the rest is not kept"

// end is the part of a log that a person can read.
func end(text string) string { return text[max(0, len(text)-5000):] }

// runScript is the program of a pod with a script.
const runScript = `require("child_process").spawnSync("/bin/sh", ["/run/attack/attack.sh"], {stdio: "inherit"}); console.log("` + ended + `"); setInterval(() => {}, 1e9)`

func readHostile(t *testing.T) map[string]hostile {
	t.Helper()
	g := NewWithT(t)
	files, err := filepath.Glob("testdata/hostile/*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).NotTo(BeEmpty())
	all := map[string]hostile{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		var one hostile
		decoder := yaml.NewDecoder(strings.NewReader(string(text)))
		decoder.KnownFields(true)
		g.Expect(decoder.Decode(&one)).To(Succeed(), file)
		all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = one
	}
	return all
}

// objects are what the file gives to a lab.
func (h hostile) objects(t *testing.T, name string, replace *strings.Replacer) [][]byte {
	t.Helper()
	workload := h.Workload
	if h.Script != "" {
		volume := map[string]any{"name": "attack", "configMap": map[string]any{"name": name}}
		workload = append(workload,
			map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": map[string]any{"attack.sh": h.Script}},
			map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name}, "spec": map[string]any{"volumes": []any{volume}, "containers": []any{map[string]any{
				"name": "main", "image": "node", "command": []string{"node", "-e", runScript}, "volumeMounts": []any{map[string]any{"name": "attack", "mountPath": "/run/attack"}},
			}}}})
	}
	var objects [][]byte
	for _, object := range workload {
		text, err := json.Marshal(object)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		objects = append(objects, []byte(replace.Replace(string(text))))
	}
	return objects
}

// TestHostileFilesAreRefused runs nothing.
func TestHostileFilesAreRefused(t *testing.T) {
	for name, one := range readHostile(t) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := errors.Join((&lab.Lab{}).Check(one.objects(t, name, strings.NewReplacer()))...)
			if len(one.Refused) == 0 {
				g.Expect(err).NotTo(HaveOccurred(), one.Tries)
			}
			for _, want := range one.Refused {
				g.Expect(err).To(MatchError(ContainSubstring(want)), one.Tries)
			}
			for _, command := range one.Evidence {
				g.Expect(readers.CheckCommand(command)).To(MatchError(ContainSubstring("is not a known read-only command")), "%q", command)
			}
		})
	}
}

// machine is what the test plants on the machine.
type machine struct {
	home, socket string
	secrets      []string
	victim       *exec.Cmd
	replace      *strings.Replacer
}

func plant(t *testing.T) machine {
	t.Helper()
	g := NewWithT(t)
	home, err := os.UserHomeDir()
	g.Expect(err).NotTo(HaveOccurred())
	m := machine{}
	m.home, err = os.MkdirTemp(home, "relapse-hostile-")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(os.RemoveAll(m.home)).To(Succeed()) })
	g.Expect(os.Chmod(m.home, 0o755)).To(Succeed()) // for all, so that only its place protects what is in it
	for _, file := range []string{"secret", ".ssh/id_ed25519"} {
		secret := "planted-" + rand.Text()
		path := filepath.Join(m.home, file)
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(path, []byte(secret+"\n"), 0o644)).To(Succeed())
		m.secrets = append(m.secrets, secret)
	}
	secret := "planted-" + rand.Text()
	t.Setenv("HOSTILE_SECRET", secret)
	m.secrets = append(m.secrets, secret)
	if shadow, err := os.ReadFile("/etc/shadow"); err == nil { // an ordinary user cannot
		line, _, _ := strings.Cut(string(shadow), "\n")
		m.secrets = append(m.secrets, line)
	}
	m.socket = filepath.Join(m.home, "socket")
	for _, address := range []string{m.socket, "@relapse-hostile"} {
		listener, err := net.Listen("unix", address)
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				fmt.Fprintln(conn, secret)
				conn.Close()
			}
		}()
	}
	m.victim = exec.Command("sleep", "1h")
	g.Expect(m.victim.Start()).To(Succeed())
	t.Cleanup(func() { _ = m.victim.Process.Kill(); _ = m.victim.Wait() })
	m.replace = strings.NewReplacer("@home@", m.home, "@socket@", m.socket, "@pid@", fmt.Sprint(os.Getpid()), "@victim@", fmt.Sprint(m.victim.Process.Pid))
	return m
}

// look is the state of the machine: its network, its settings, and its files where attacks would write them.
func look(t *testing.T, home string) (fingerprint.Fingerprint, map[string]string) {
	t.Helper()
	g := NewWithT(t)
	network, err := fingerprint.Take(t.Context(), fingerprint.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	files := map[string]string{}
	for _, root := range []string{"/etc", "/usr/bin", "/usr/sbin", "/usr/local/bin", home} {
		_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // an ordinary user may not look into every folder
			}
			info, err := entry.Info()
			g.Expect(err).NotTo(HaveOccurred())
			files[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime())
			return nil
		})
	}
	for _, setting := range []string{"kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory", "user/max_user_namespaces"} {
		text, err := os.ReadFile("/proc/sys/" + setting)
		g.Expect(err).NotTo(HaveOccurred())
		files[setting] = string(text)
	}
	return network, files
}

// TestHostileProgramsReachNothing holds what README says of safety: it runs all attacks in one lab.
func TestHostileProgramsReachNothing(t *testing.T) {
	newLab(t)
	attack(t)
}

// TestHostileProgramsOfAnOrdinaryUser runs them as relapse does for a user who is not root, in a user namespace with one user.
func TestHostileProgramsOfAnOrdinaryUser(t *testing.T) {
	const inside = "RELAPSE_HOSTILE_USER"
	if os.Getenv(inside) != "" {
		newLab(t)
		attack(t)
		return
	}
	l := newLab(t)
	home := t.TempDir()
	g := NewWithT(t)
	const nobody = 65534
	for path := home; path != "/tmp" && path != "/"; path = filepath.Dir(path) {
		g.Expect(os.Chmod(path, 0o755)).To(Succeed())
	}
	g.Expect(os.Chown(home, nobody, nobody)).To(Succeed())
	user := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	user.Env = append(os.Environ(), inside+"=1", "RELAPSE_BIN="+l.Bin, "HOME="+home, "TMPDIR="+home)
	user.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}, Pdeathsig: syscall.SIGKILL,
	}
	output, err := user.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
	g.Expect(string(output)).To(ContainSubstring("--- PASS: "+t.Name()), string(output))
}

func attack(t *testing.T) {
	g := NewWithT(t)
	for _, name := range []string{"node", "nginx", "haproxy"} {
		if offer := images.Offer(name); !offer.OK {
			t.Skip(offer.Why)
		}
	}
	m := plant(t)
	attacks := readHostile(t)
	spec := clusters.Spec{Name: "hostile", Nodes: 1, Proxy: "nftables", Logs: t.TempDir()}
	for name, one := range attacks {
		if len(one.Refused) == 0 {
			spec.Workload = append(spec.Workload, one.objects(t, name, m.replace)...)
		}
	}
	network, files := look(t, m.home)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l, err := lab.New()
	g.Expect(err).NotTo(HaveOccurred())
	c, err := l.Create(ctx, spec)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(c.Close(context.WithoutCancel(ctx))).To(Succeed()) }()
	for name, one := range attacks {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			printed := func() string {
				var all strings.Builder
				logs, _ := filepath.Glob(filepath.Join(spec.Logs, "pod-"+name+"-*.log"))
				for _, log := range logs {
					text, err := os.ReadFile(log)
					g.Expect(err).NotTo(HaveOccurred())
					all.Write(text)
				}
				return all.String()
			}
			limit := time.Minute
			until := func(text string) {
				t.Helper()
				g.Eventually(func() bool { return strings.Contains(printed(), text) }, limit, time.Second/10).Should(BeTrue(), func() string {
					return fmt.Sprintf("it tries %s, and must print %q; it printed:\n%s", one.Tries, text, end(printed()))
				})
			}
			if one.Script != "" && !slices.Contains(one.Prints, logFull) {
				until(ended)
				limit = 0 // what it has not printed by now it never will
			}
			for _, text := range one.Prints {
				until(m.replace.Replace(text))
			}
			t.Log(end(printed()))
			for _, secret := range m.secrets {
				g.Expect(strings.Contains(printed(), secret)).To(BeFalse(), "it tries %s, and printed a secret:\n%s", one.Tries, end(printed()))
			}
		})
	}
	g.Expect(m.victim.Process.Signal(syscall.Signal(0))).To(Succeed(), "the victim is alive")
	network2, files2 := look(t, m.home)
	g.Expect(fingerprint.Diff(network, network2)).To(BeEmpty())
	g.Expect(cmp.Diff(files, files2)).To(BeEmpty())
}
