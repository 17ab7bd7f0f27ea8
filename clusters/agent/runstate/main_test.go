package runstate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	. "github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// roleEnv makes the test binary play a part of a run instead of testing.
const roleEnv = "RELAPSE_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleEnv); role {
	case "":
		goleak.VerifyTestMain(m)
		return
	case "harness":
		err = playHarness()
	case "agent":
		err = playAgent()
	case "guard":
		err = playGuard()
	case "sleeper":
		_, err = io.Copy(io.Discard, os.Stdin)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Println("ready")
		select {}
	default:
		err = fmt.Errorf("no such role: %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// playHarness makes a run, says its id, and starts an agent that makes changes for ever.
func playHarness() error {
	run, err := New("many-changes", os.Args)
	if err != nil {
		return err
	}
	fmt.Println(run.ID)
	agent := exec.Command(os.Args[0])
	agent.Env = append(append(os.Environ(), run.Env()...), roleEnv+"=agent")
	agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
	agent.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return agent.Run()
}

// playAgent joins the run in its environment, and makes and undoes changes for ever.
func playAgent() error {
	run, err := Join(os.Getenv(EnvRun))
	if err != nil {
		return err
	}
	journal, err := undo.OpenJournal(run.Journal())
	if err != nil {
		return err
	}
	return changeForEver(&undo.Stack{Journal: journal})
}

// playGuard joins the run in its environment, makes some changes, and lives on until its stream breaks.
func playGuard() error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	run, err := Join(os.Getenv(EnvRun))
	if err != nil {
		return err
	}
	journal, err := undo.OpenJournal(run.Journal())
	if err != nil {
		return err
	}
	stack := &undo.Stack{Journal: journal}
	scope := stack.Begin("of the guard")
	if err := scope.SetSysctl("net.ipv4.tcp_syn_retries", "2"); err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, it has ended
	return Finish(context.Background(), stack, run)
}

// changeForEver makes changes of every kind, several scopes at a time, and undoes scopes in any order. It says a line after each.
func changeForEver(stack *undo.Stack) error {
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seed, 1))
	dir := os.Getenv("FILES")
	var scopes []*undo.Scope
	for number := 0; ; number++ {
		scope := stack.Begin(strconv.Itoa(number))
		scopes = append(scopes, scope)
		for _, change := range random.Perm(6)[:3] {
			if err := makeChange(scope, change, number, dir); err != nil {
				return err
			}
		}
		fmt.Println("done", number)
		if len(scopes) > 4 {
			i := random.IntN(len(scopes))
			if err := scopes[i].Undo(context.Background()); err != nil {
				return err
			}
			scopes = append(scopes[:i], scopes[i+1:]...)
		}
	}
}

func makeChange(s *undo.Scope, change, n int, dir string) error {
	name := func(prefix string) string { return prefix + strconv.Itoa(n) }
	switch change {
	case 0:
		return s.SetSysctl("net.ipv4.tcp_fin_timeout", strconv.Itoa(10+n%40))
	case 1:
		return s.SetSysctl("net.ipv4.ip_forward", strconv.Itoa(n%2))
	case 2:
		return pushed(s, undo.Record{NftTable: &undo.NftTable{Family: "inet", Name: name("relapse-")}},
			"nft", "add", "table", "inet", name("relapse-"))
	case 3:
		cidr := fmt.Sprintf("10.%d.%d.1/24", 10+n/250%200, n%250)
		return pushed(s, undo.Record{Address: &undo.Address{Link: "lo", CIDR: cidr}}, "ip", "addr", "add", cidr, "dev", "lo")
	case 4:
		return s.SetFile(dir+"/old", []byte(name("changed ")), 0o600)
	default:
		return s.SetFile(dir+"/"+name("new"), []byte("new"), 0o600)
	}
}

func pushed(s *undo.Scope, r undo.Record, command string, args ...string) error {
	if err := s.Push(r); err != nil {
		return err
	}
	if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", command, args, err, out)
	}
	return nil
}

// player is a process that plays a role.
type player struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines *bufio.Scanner
}

// play starts a role, and ends it when the test ends.
func play(t *testing.T, role string, env ...string) *player {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	cmd.Stderr = os.Stderr
	// As a guard is: a session of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &player{cmd: cmd, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(p.kill)
	return p
}

// line is the next line that the role says.
func (p *player) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the process has ended: %v", p.cmd.Wait())
	}
	return p.lines.Text()
}

// kill is kill -9, and waits until it has ended.
func (p *player) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// killRun ends a harness and its agent with SIGKILL, as one who pulls the plug.
func killRun(t *testing.T, harness *player, id string) {
	t.Helper()
	owner, err := ReadOwner(filepath.Join(os.Getenv(EnvDir), id))
	if err != nil {
		t.Fatal(err)
	}
	harness.kill()
	if err := owner.Guard.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}
