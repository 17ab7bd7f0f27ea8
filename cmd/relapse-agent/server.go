package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"syscall"
)

// serveEcho sends back what it gets, connection by connection, until it is told to end.
func serveEcho(ctx context.Context, address string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	unhook := context.AfterFunc(ctx, func() { listener.Close() })
	defer unhook()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		go func() {
			defer conn.Close()
			// Bare readers and writers keep io.Copy from splicing, for which the kernel wants two more files a connection.
			// A client that breaks off is no error of the server.
			_, _ = io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}, make([]byte, 4<<10))
		}()
	}
}
