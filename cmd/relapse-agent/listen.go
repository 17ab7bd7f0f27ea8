package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
)

// listening is how a pod's program listens on TCP.
type listening struct {
	// backlog is how many connections may wait to be accepted; 0 is as many as net.core.somaxconn allows.
	backlog int
	// acceptEvery is the time from one accepted connection to the next, as of a program that is busy otherwise.
	acceptEvery time.Duration
}

// option reads backlog=N or accept-every=DURATION; known is false for any other argument.
func (l *listening) option(name, value string) (known bool, err error) {
	switch name {
	case "backlog":
		l.backlog, err = strconv.Atoi(value)
		if err == nil && l.backlog < 1 {
			err = fmt.Errorf("%s: must be at least 1", value)
		}
	case "accept-every":
		l.acceptEvery, err = time.ParseDuration(value)
	default:
		return false, nil
	}
	return true, err
}

// listen listens; the listener is closed when ctx ends.
func (l listening) listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil || l.backlog == 0 {
		return l.slow(ctx, listener), err
	}
	// A second listen(2) on the socket sets the backlog, which Go's net does not let one choose.
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) { refused = syscall.Listen(int(fd), l.backlog) }); err != nil {
		return nil, err
	}
	return l.slow(ctx, listener), refused
}

func (l listening) slow(ctx context.Context, listener net.Listener) net.Listener {
	if l.acceptEvery == 0 || listener == nil {
		return listener
	}
	return &slowListener{Listener: listener, ctx: ctx, every: l.acceptEvery}
}

// slowListener accepts one connection in a while. Those that come meanwhile wait in the kernel.
type slowListener struct {
	net.Listener
	ctx   context.Context
	every time.Duration
}

func (s *slowListener) Accept() (net.Conn, error) {
	pause := time.NewTimer(s.every)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-s.ctx.Done():
	}
	return s.Listener.Accept()
}
