package faults

import (
	"context"
	"sync"

	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
)

// hostLock is held by the host's agent while any change to the machine is on.
var hostLock sharedLock

type sharedLock struct {
	mu    sync.Mutex
	lock  *runstate.HostLock
	users int
}

// take holds the lock until the change's scope is undone, which lets go of it last.
func (l *sharedLock) take(ctx context.Context, ns *Namespace) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 {
		lock, err := runstate.LockHost(ctx, ns.Run)
		if err != nil {
			return err
		}
		l.lock = lock
	}
	l.users++
	return ns.Scope.PushFunc("let others change the machine", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.users--; l.users > 0 {
			return nil
		}
		return l.lock.Unlock()
	})
}
