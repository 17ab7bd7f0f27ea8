package contain

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// forwarded are the signals that people send to a container's first process for its program.
var forwarded = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}

// Init is the first process of a container: it starts this program again as the supervisor, passes signals on, and takes the status of
// every process that ends, those that lost their parents included. A process of its own does so, because who waits for all processes
// takes the status away from those that wait for one. It returns how the supervisor ended.
func Init() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	// Should this process be killed, the kernel ends all others of the container.
	child, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return fmt.Errorf("contain: %w", err)
	}
	go func() {
		for sig := range signals {
			_ = child.Signal(sig) // it may have ended
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("contain: wait for the supervisor: %w", err)
		case pid != child.Pid:
		case status.Signaled():
			return Exit(128 + int(status.Signal()))
		default:
			return Exit(status.ExitStatus())
		}
	}
}
