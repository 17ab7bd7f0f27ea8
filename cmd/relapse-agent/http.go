package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/probes"
)

// httpServer is the program of a pod that speaks HTTP.
type httpServer struct {
	address string
	// idle is how long an idle connection is kept; 0 is without limit.
	idle time.Duration
	// h2c also enables HTTP/2 without encryption.
	h2c bool
	// maxAge is how old a connection may be: the answer to a request after that is the last one. 0 is without limit.
	maxAge time.Duration
	// work is how long the server works on a request, on one at a time. If queue others wait already, a request is refused; 0 is without limit.
	work  time.Duration
	queue int
	listening
}

// parseHTTP reads ADDRESS and options.
func parseHTTP(args []string) (httpServer, error) {
	if len(args) == 0 {
		return httpServer{}, errors.New("http: missing the address to listen on, such as :8080")
	}
	s := httpServer{address: args[0]}
	durations := map[string]*time.Duration{"idle-timeout": &s.idle, "max-age": &s.maxAge, "work": &s.work}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		known, err := s.option(name, value)
		switch {
		case err != nil:
			return s, fmt.Errorf("http: %s: %w", arg, err)
		case known:
		case durations[name] != nil:
			if *durations[name], err = time.ParseDuration(value); err != nil {
				return s, fmt.Errorf("http: %s: %w", arg, err)
			}
		case name == "queue":
			if s.queue, err = strconv.Atoi(value); err != nil || s.queue < 1 {
				return s, fmt.Errorf("http: %s: must be a number of requests from 1", arg)
			}
		case arg == "h2c":
			s.h2c = true
		default:
			return s, fmt.Errorf("http: unknown argument %q: must be idle-timeout=DURATION, max-age=DURATION, work=DURATION, queue=N, h2c, backlog=N or accept-every=DURATION", arg)
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
		Handler: s.handler(), IdleTimeout: s.idle, Protocols: &protocols,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, openedKey{}, time.Now())
		},
	}
	listener, err := s.listen(ctx, s.address)
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

// openedKey is when a request's connection was opened.
type openedKey struct{}

func (s httpServer) handler() http.Handler {
	name, _ := os.Hostname() // in a pod it is the pod's
	worker := make(chan struct{}, 1)
	var inside atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/bytes", serveBytes)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(probes.ServedBy, name)
		_, _ = io.Copy(io.Discard, r.Body) // a client that disconnects is not an error of the server
		defer inside.Add(-1)
		if waiting := inside.Add(1) - 2; s.queue > 0 && waiting >= int64(s.queue) {
			http.Error(w, fmt.Sprintf("%d requests wait already", waiting), http.StatusServiceUnavailable)
			return
		}
		if opened, ok := r.Context().Value(openedKey{}).(time.Time); ok && s.maxAge > 0 && time.Since(opened) > s.maxAge {
			w.Header().Set("Connection", "close") // over HTTP/2 it sends GOAWAY
			_ = http.NewResponseController(w).Flush()
		}
		if s.work > 0 {
			worker <- struct{}{}
			<-time.After(s.work)
			<-worker
		}
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
