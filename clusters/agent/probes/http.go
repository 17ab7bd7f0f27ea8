package probes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// HTTP makes a request, on a new connection unless kept is set. It fails on an error, and on a status that is not expected. A redirect is
// not followed. Which pod answered, the probe knows from programs of the image relapse.
type HTTP struct {
	// URL to ask for. In place of a host there may be a node or pod, for its own address: http://node/node-1:30080/.
	URL string `json:"url" ref:"address"`
	// Method of the request. Default: GET. Clients and proxies repeat a GET that failed on their own, but not a POST
	// (RFC 9110, section 9.2.2).
	Method string `json:"method,omitempty" jsonschema:"enum=GET,enum=HEAD,enum=POST,enum=PUT,enum=DELETE"`
	// Status lists the expected statuses, of which the answer must have one. Default: 200 to 299.
	Status []int `json:"status,omitempty" jsonschema:"minItems=1"`
	// Warm makes another request first, on another connection, so that a proxy in between has an idle connection to the server when the
	// measured request arrives. It is repeated until it succeeds.
	Warm bool `json:"warm,omitempty"`
	// Idle is the pause between the two requests. Attempts with a warm request run one after the other, so that none uses another's
	// connection; every should be longer than this.
	Idle units.Duration `json:"idle,omitempty"`
	// Kept makes all attempts use one connection, which is opened again when it broke or the server closed it, as clients with a pool do. An
	// attempt that times out breaks it over HTTP/1.1, not over HTTP/2. Over HTTP/1.1, attempts at the same time wait for each other.
	Kept bool `json:"kept,omitempty"`
	// RoundRobin keeps a connection to each address of the host's name and uses them in turn, as clients do that balance by themselves. It
	// needs kept, and a name with several addresses, such as a headless Service's. Default: the first address that answers.
	RoundRobin bool `json:"roundRobin,omitempty"`
	// HTTP2 speaks HTTP/2 without encryption, as gRPC does; attempts at the same time share the connection.
	HTTP2 bool `json:"http2,omitempty"`
	// Ping is after how long without an answer an HTTP/2 connection is tested by a ping, and closed if no answer comes for as long again.
	// Default: never.
	Ping units.Duration `json:"ping,omitempty"`

	// alone is locked by an attempt with a warm request.
	alone sync.Mutex
	kept  keptHTTP
}

// ServedBy is the header in which a pod says its name.
const ServedBy = "X-Served-By"

// Validate refuses invalid URLs and settings.
func (p *HTTP) Validate() error {
	u, err := url.Parse(p.URL)
	if err != nil {
		return err
	}
	if u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("%q: write http://HOST[:PORT]/PATH", p.URL)
	}
	for _, status := range p.Status {
		if status < 200 || status > 599 {
			return fmt.Errorf("status %d: must be from 200 to 599", status)
		}
	}
	if p.Idle > 0 && !p.Warm {
		return errors.New("idle is the pause after the warm request: it needs warm: true")
	}
	if p.Warm && p.Kept {
		return errors.New("warm is a request over another connection: with kept there is none")
	}
	if p.RoundRobin && !p.Kept {
		return errors.New("roundRobin uses connections in turn that are kept: it needs kept: true")
	}
	if p.Ping > 0 && !p.HTTP2 {
		return errors.New("ping is one of HTTP/2: it needs http2: true")
	}
	return nil
}

// warmEvery is the time between warm requests.
const warmEvery = 20 * time.Millisecond

// Attempt makes the warm request, if any, and the measured one. Only the time of the measured request counts.
func (p *HTTP) Attempt(ctx context.Context, number int) (Outcome, error) {
	try, err := p.Prepare(ctx, number)
	if err != nil {
		return Outcome{}, err
	}
	return try(ctx)
}

// Prepare waits until attempts with a warm request before this one have ended.
func (p *HTTP) Prepare(context.Context, int) (attempt func(context.Context) (Outcome, error), err error) {
	if !p.Warm {
		return p.try, nil
	}
	p.alone.Lock()
	return func(ctx context.Context) (Outcome, error) {
		defer p.alone.Unlock()
		return p.try(ctx)
	}, nil
}

func (p *HTTP) try(ctx context.Context) (Outcome, error) {
	var outcome Outcome
	if p.Warm {
		if err := p.warm(ctx); err != nil {
			return outcome, err
		}
		if err := wait(ctx, p.Idle.Std()); err != nil {
			return outcome, fmt.Errorf("in the pause of %s after the warm request: %w", p.Idle, err)
		}
	}
	start := time.Now()
	seen, err := p.request(ctx, &outcome)
	outcome.Seen, outcome.Took = seen, time.Since(start)
	return outcome, err
}

// warm repeats the request until it gets an answer: after a failure the proxy has no idle connection.
func (p *HTTP) warm(ctx context.Context) error {
	for {
		_, err := p.request(ctx, new(Outcome))
		if err == nil {
			return nil
		}
		if wait(ctx, warmEvery) != nil {
			return fmt.Errorf("no warm request succeeded: %w", err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *HTTP) request(ctx context.Context, outcome *Outcome) (seen string, err error) {
	request, err := http.NewRequestWithContext(ctx, cmp.Or(p.Method, http.MethodGet), p.URL, http.NoBody)
	if err != nil {
		return "", err
	}
	transport, err := p.transport(ctx, request.URL.Hostname())
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(outcome.trace(request))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if p.Kept {
		p.kept.used(outcome.Ports[0])
	}
	seen, outcome.By = response.Status, response.Header.Get(ServedBy)
	if server := response.Header.Get("Server"); server != "" {
		seen += " from " + server
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return seen, fmt.Errorf("%s: the body broke off: %w", seen, err)
	}
	if !p.expected(response.StatusCode) {
		return seen, errors.New("status " + seen)
	}
	return seen, nil
}

// trace notes the source port of a request's connection.
func (o *Outcome) trace(request *http.Request) *http.Request {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { o.from(info.Conn) }}
	return request.WithContext(httptrace.WithClientTrace(request.Context(), trace))
}

func (p *HTTP) expected(status int) bool {
	return slices.Contains(p.Status, status) || len(p.Status) == 0 && status/100 == 2
}
