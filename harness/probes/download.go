package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// Download opens a new connection, asks a web server for something and reads all of it.
type Download struct {
	// URL to ask for.
	URL string `json:"url"`
	// Bytes, where given, is how much to ask for: the path /bytes?n=… of the pods' program http.
	Bytes int64 `json:"bytes,omitempty" jsonschema:"minimum=1"`
	// ReceiveBuffer, in bytes, limits what may be under way at once, as SO_RCVBUF does. Default: the kernel's own choice.
	ReceiveBuffer int `json:"receiveBuffer,omitempty" jsonschema:"minimum=2304"`
}

// Validate checks the form of the address.
func (p *Download) Validate() error {
	_, err := p.url()
	return err
}

func (p *Download) url() (string, error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" || u.Host == "" {
		return "", fmt.Errorf("%q must be http://HOST", p.URL)
	}
	if p.Bytes > 0 {
		u = u.JoinPath("bytes")
		u.RawQuery = url.Values{"n": {strconv.FormatInt(p.Bytes, 10)}}.Encode()
	}
	return u.String(), nil
}

// Attempt downloads.
func (p *Download) Attempt(ctx context.Context, _ int) (Outcome, error) {
	text, err := p.url()
	if err != nil {
		return Outcome{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, text, nil)
	if err != nil {
		return Outcome{}, err
	}
	dialer := net.Dialer{Control: p.control}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: dialer.DialContext}
	start := time.Now()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Outcome{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Outcome{}, errors.New(response.Status)
	}
	// A body that ends too early is an error of its own: the server says how long it is.
	n, err := io.Copy(io.Discard, response.Body)
	seen := fmt.Sprintf("%d bytes at %.3g MB/s", n, float64(n)/1e6/time.Since(start).Seconds())
	if err != nil {
		err = fmt.Errorf("after %d bytes: %w", n, err)
	}
	return Outcome{Seen: seen}, err
}

func (p *Download) control(_, _ string, conn syscall.RawConn) error {
	if p.ReceiveBuffer == 0 {
		return nil
	}
	var set error
	err := conn.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, p.ReceiveBuffer)
	})
	return errors.Join(err, set)
}

// Close has nothing to end.
func (p *Download) Close() error { return nil }
