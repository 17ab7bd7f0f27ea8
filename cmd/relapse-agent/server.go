package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// echoServer sends back what it receives.
type echoServer struct {
	address string
	// udp also serves datagrams. Silent reads them without an answer.
	udp, silent bool
	// delay is how long the server waits before it sends back what came over TCP.
	delay time.Duration
	listening
}

func parseServer(args []string) (echoServer, error) {
	if len(args) == 0 {
		return echoServer{}, errors.New("server: missing the address to listen on, such as :8080")
	}
	s := echoServer{address: args[0]}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		known, err := s.option(name, value)
		switch {
		case err != nil:
			return s, fmt.Errorf("server: %s: %w", arg, err)
		case known:
		case name == "delay":
			if s.delay, err = time.ParseDuration(value); err != nil {
				return s, fmt.Errorf("server: %s: %w", arg, err)
			}
		case arg == "udp":
			s.udp = true
		case arg == "silent" && s.udp:
			s.silent = true
		default:
			return s, fmt.Errorf("server: unknown argument %q: must be udp, udp silent, delay=DURATION, backlog=N or accept-every=DURATION", arg)
		}
	}
	return s, nil
}

// serve answers until it gets SIGTERM or SIGINT. It listens on TCP last, so that a TCP connection also shows that UDP is ready.
func (s echoServer) serve(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if s.udp {
		packets, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", s.address)
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		defer packets.Close()
		go s.datagrams(packets)
	}
	listener, err := s.listen(ctx, s.address)
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
			// Bare readers and writers keep io.Copy from splicing, which needs two more files per connection.
			// A client that disconnects is not an error of the server.
			_, _ = io.CopyBuffer(delayed{conn, s.delay}, struct{ io.Reader }{conn}, make([]byte, 4<<10))
		}()
	}
}

// datagrams answers one datagram after another until the socket is closed.
func (s echoServer) datagrams(packets net.PacketConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := packets.ReadFrom(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil && !s.silent:
			// A sender that does not wait for the answer is not an error of the server.
			_, _ = packets.WriteTo(buffer[:n], from)
		}
	}
}

// delayed writes after a pause, in which the client may have closed its side.
type delayed struct {
	io.Writer
	by time.Duration
}

func (d delayed) Write(b []byte) (int, error) {
	if d.by > 0 {
		<-time.After(d.by)
	}
	return d.Writer.Write(b)
}
