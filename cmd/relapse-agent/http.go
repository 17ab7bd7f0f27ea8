package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// serveHTTP is a small web server, until it is told to end. /bytes?n=1000 answers that many bytes, every other path a line.
// Options: idle-timeout=100ms closes a connection that has been idle for as long.
func serveHTTP(ctx context.Context, address string, options []string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "relapse", r.URL.Path) // a client that breaks off is no error of the server, here and below
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		if err != nil || n < 0 {
			http.Error(w, "n must be a number of bytes", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.CopyN(w, zeros{}, n)
	})
	server := http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	for _, option := range options {
		value, ok := strings.CutPrefix(option, "idle-timeout=")
		if !ok {
			return fmt.Errorf("http: %q is not an option; there is idle-timeout", option)
		}
		var err error
		if server.IdleTimeout, err = time.ParseDuration(value); err != nil {
			return fmt.Errorf("http: %w", err)
		}
	}
	unhook := context.AfterFunc(ctx, func() { server.Close() })
	defer unhook()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http: %w", err)
	}
	return nil
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
