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

// Download opens a new connection, requests a document from a web server and reads all of it.
type Download struct {
	// URL to ask for. In place of a host there may be a node or pod, for its own address: http://node/node-1:30080/.
	URL string `json:"url" ref:"address"`
	// Bytes, if given, is the size to request: the path /bytes?n=… of the program http in pods.
	Bytes int64 `json:"bytes,omitempty" jsonschema:"minimum=1"`
	// ReceiveBuffer is SO_RCVBUF in bytes, which limits the receive window. Default: the kernel's own choice.
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
	dialer := net.Dialer{ControlContext: p.control}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: dialer.DialContext}
	var outcome Outcome
	request = outcome.trace(request)
	start := time.Now()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return outcome, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return outcome, errors.New(response.Status)
	}
	// A body that ends too early is an error, because the server sends its length.
	n, err := io.Copy(io.Discard, response.Body)
	outcome.Seen = fmt.Sprintf("%d bytes at %.3g MB/s", n, float64(n)/1e6/time.Since(start).Seconds())
	switch {
	case err != nil:
		err = fmt.Errorf("after %d bytes: %w", n, err)
	case p.Bytes > 0 && n != p.Bytes:
		err = fmt.Errorf("%d bytes came, %d were requested", n, p.Bytes)
	}
	return outcome, err
}

func (p *Download) control(ctx context.Context, network, address string, conn syscall.RawConn) error {
	if err := bindNext(ctx, network, address, conn); err != nil || p.ReceiveBuffer == 0 {
		return err
	}
	return onSocket(conn, func(fd int) error {
		return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, p.ReceiveBuffer)
	})
}

// Close has nothing to close.
func (p *Download) Close() error { return nil }
