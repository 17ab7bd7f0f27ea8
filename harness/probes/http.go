package probes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// HTTP makes a request on a new connection. It fails on an error, and on a status of 500 or more.
type HTTP struct {
	// URL to ask for.
	URL string `json:"url"`
	// Method of the request. Default: GET. Clients and proxies repeat a GET that failed on their own, and a POST they do not
	// (RFC 9110, section 9.2.2).
	Method string `json:"method,omitempty" jsonschema:"enum=GET,enum=HEAD,enum=POST,enum=PUT,enum=DELETE"`
	// Warm makes another request first, on a connection of its own, so that a proxy on the way has an idle connection to the
	// server when the request comes that counts. It is made again until it succeeds.
	Warm bool `json:"warm,omitempty"`
	// Idle is the pause between the two. Attempts with a warm request wait for one another, so that none uses another's
	// connection; let every be longer than this.
	Idle scenario.Duration `json:"idle,omitempty"`

	// alone is held by an attempt with a warm request.
	alone sync.Mutex
}

// Validate refuses what cannot be asked for.
func (p *HTTP) Validate() error {
	u, err := url.Parse(p.URL)
	if err != nil {
		return err
	}
	if u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("%q: write http://HOST[:PORT]/PATH", p.URL)
	}
	if p.Idle > 0 && !p.Warm {
		return errors.New("idle is the pause after the warm request: give warm: true")
	}
	return nil
}

// warmEvery is the time between warm requests.
const warmEvery = 20 * time.Millisecond

// Attempt makes the request that counts, and the one before it. Only the former's time counts.
func (p *HTTP) Attempt(ctx context.Context, _ int) (Outcome, error) {
	if p.Warm {
		p.alone.Lock()
		defer p.alone.Unlock()
		if err := p.warm(ctx); err != nil {
			return Outcome{}, err
		}
		if err := wait(ctx, p.Idle.Std()); err != nil {
			return Outcome{}, err
		}
	}
	start := time.Now()
	seen, err := p.request(ctx)
	return Outcome{Seen: seen, Took: time.Since(start)}, err
}

// warm asks until it gets an answer: after a failure the proxy has no connection that could be idle.
func (p *HTTP) warm(ctx context.Context) error {
	for {
		_, err := p.request(ctx)
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

func (p *HTTP) request(ctx context.Context) (seen string, err error) {
	request, err := http.NewRequestWithContext(ctx, cmp.Or(p.Method, http.MethodGet), p.URL, http.NoBody)
	if err != nil {
		return "", err
	}
	// A transport of its own, without keep-alive: the connection is new and goes with the request.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
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
	if response.StatusCode >= http.StatusInternalServerError {
		return seen, errors.New(seen)
	}
	return seen, nil
}

// Close has nothing to end.
func (p *HTTP) Close() error { return nil }
