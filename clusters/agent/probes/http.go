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

// HTTP makes a request on a new connection. It fails on an error, and on a status that is not expected. A redirect is not followed.
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

	// alone is locked by an attempt with a warm request.
	alone sync.Mutex
}

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
	// A separate transport without keep-alive: the connection is new and is closed after the request.
	dialer := dialer()
	response, err := (&http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}).RoundTrip(outcome.trace(request))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	seen = response.Status
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

// Close has nothing to close.
func (p *HTTP) Close() error { return nil }
