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

// echoServer sends back what it gets.
type echoServer struct {
	address string
	// udp is whether it also sends back datagrams; silent, whether it only reads them.
	udp, silent bool
}

func parseServer(args []string) (echoServer, error) {
	if len(args) == 0 {
		return echoServer{}, errors.New("server: no address")
	}
	s := echoServer{address: args[0]}
	for _, arg := range args[1:] {
		switch {
		case arg == "udp":
			s.udp = true
		case arg == "silent" && s.udp:
			s.silent = true
		default:
			return s, fmt.Errorf("server: unknown argument %q", arg)
		}
	}
	return s, nil
}

// serve answers until it is told to end. It listens for connections last: who sees that knows that it reads datagrams too.
func (s echoServer) serve(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config := &net.ListenConfig{}
	if s.udp {
		packets, err := config.ListenPacket(ctx, "udp", s.address)
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		defer packets.Close()
		go s.datagrams(packets)
	}
	listener, err := config.Listen(ctx, "tcp", s.address)
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

// datagrams sends back one after the other until the socket is closed.
func (s echoServer) datagrams(packets net.PacketConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := packets.ReadFrom(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil && !s.silent:
			// A sender that does not wait for the answer is no error of the server.
			_, _ = packets.WriteTo(buffer[:n], from)
		}
	}
}
