package probes

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// keptHTTP is what the attempts of a probe share that keeps its connection.
type keptHTTP struct {
	mu sync.Mutex
	// transports are those of the addresses; with one connection there is one, without an address.
	transports map[string]*http.Transport
	requests   int
	port       uint16
}

// transport is the one whose connection is kept, or a new one: then the connection is new and is closed after the request.
func (p *HTTP) transport(ctx context.Context, host string) (*http.Transport, error) {
	if !p.Kept {
		return p.newTransport(""), nil
	}
	addresses := []string{""}
	if p.RoundRobin {
		var err error
		if addresses, err = net.DefaultResolver.LookupHost(ctx, host); err != nil {
			return nil, err
		}
		slices.Sort(addresses)
	}
	return p.next(addresses), nil
}

// next is the transport of the address whose turn it is.
func (p *HTTP) next(addresses []string) *http.Transport {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	address := addresses[p.kept.requests%len(addresses)]
	p.kept.requests++
	if p.kept.transports == nil {
		p.kept.transports = map[string]*http.Transport{}
	}
	if p.kept.transports[address] == nil {
		p.kept.transports[address] = p.newTransport(address)
	}
	return p.kept.transports[address]
}

// newTransport makes one whose connections go to an address, or to that of the URL.
func (p *HTTP) newTransport(address string) *http.Transport {
	dialer := dialer()
	dial := dialer.DialContext
	if address != "" {
		dial = func(ctx context.Context, network, hostPort string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(hostPort)
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, net.JoinHostPort(address, port))
		}
	}
	made := &http.Transport{DisableKeepAlives: !p.Kept, DialContext: dial, Protocols: new(http.Protocols)}
	made.Protocols.SetHTTP1(!p.HTTP2)
	made.Protocols.SetUnencryptedHTTP2(p.HTTP2)
	if p.Ping > 0 {
		made.HTTP2 = &http.HTTP2Config{SendPingTimeout: p.Ping.Std(), PingTimeout: p.Ping.Std()}
	}
	if p.Kept {
		made.MaxConnsPerHost = 1
	}
	return made
}

// used notes the port of the connection that was used.
func (k *keptHTTP) used(port uint16) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.port = port
}

// Renewed returns a probe with the same settings and no connection, or nil if none is kept.
func (p *HTTP) Renewed() Probe {
	if !p.Kept {
		return nil
	}
	return &HTTP{URL: p.URL, Method: p.Method, Status: p.Status, Kept: true, RoundRobin: p.RoundRobin, HTTP2: p.HTTP2, Ping: p.Ping}
}

// Port is the source port of the connection that was used last, or 0 while there is none.
func (p *HTTP) Port() uint16 {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	return p.kept.port
}

// Close closes the connection.
func (p *HTTP) Close() error {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	for _, transport := range p.kept.transports {
		transport.CloseIdleConnections()
	}
	return nil
}
