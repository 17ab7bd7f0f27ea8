package procs

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starting is served by a thread that lives as long as this program.
var starting = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go startChildren(calls)
	return calls
})

func startChildren(calls <-chan func()) {
	runtime.LockOSThread()
	for f := range calls {
		f()
	}
}

// StartChild starts a command, in a process group of its own or, if it asks for that, a session, that the kernel kills when this program ends. The kernel does so when the
// thread that forked ends (prctl(2), PR_SET_PDEATHSIG), so all commands are started from one thread that never ends.
func StartChild(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, !cmd.SysProcAttr.Setsid
	started := make(chan error)
	starting() <- func() { started <- cmd.Start() }
	return <-started
}
