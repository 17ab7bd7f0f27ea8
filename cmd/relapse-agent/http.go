package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// httpServer is the program of a pod that speaks HTTP.
type httpServer struct {
	address string
	// idle is how long an idle connection is kept; 0 is without limit.
	idle time.Duration
	// h2c also enables HTTP/2 without encryption.
	h2c bool
}

// parseHTTP reads ADDRESS [idle-timeout=DURATION] [h2c].
func parseHTTP(args []string) (httpServer, error) {
	if len(args) == 0 {
		return httpServer{}, errors.New("http: missing the address to listen on, such as :8080")
	}
	s := httpServer{address: args[0]}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch {
		case name == "idle-timeout":
			idle, err := time.ParseDuration(value)
			if err != nil {
				return s, fmt.Errorf("http: %s: %w", arg, err)
			}
			s.idle = idle
		case arg == "h2c":
			s.h2c = true
		default:
			return s, fmt.Errorf("http: unknown argument %q: must be idle-timeout=DURATION or h2c", arg)
		}
	}
	return s, nil
}

// serve answers requests until it gets SIGTERM or SIGINT.
func (s httpServer) serve(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(s.h2c)
	server := &http.Server{
		Handler: handler(), IdleTimeout: s.idle, Protocols: &protocols,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	unhook := context.AfterFunc(ctx, func() { server.Close() })
	defer unhook()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http: %w", err)
	}
	return nil
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/bytes", serveBytes)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that disconnects is not an error of the server
		fmt.Fprintf(w, "%s %s from %s\n", r.Method, r.Proto, r.RemoteAddr)
	})
	return mux
}

// zeros is an endless reader of zero bytes.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// serveBytes answers with n bytes, for ?n=N.
func serveBytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
	if err != nil || n < 0 {
		http.Error(w, "n must be a number of bytes", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.CopyN(w, zeros{}, n) // a client that disconnects is not an error of the server
}
