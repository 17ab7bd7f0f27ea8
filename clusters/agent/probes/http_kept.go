package probes

import (
	"net/http"
	"sync"
)

// keptHTTP is what the attempts of a probe share that keeps its connection.
type keptHTTP struct {
	mu        sync.Mutex
	transport *http.Transport
	port      uint16
}

// transport is the one whose connection is kept, or a new one: then the connection is new and is closed after the request.
func (p *HTTP) transport() *http.Transport {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	if p.kept.transport != nil {
		return p.kept.transport
	}
	dialer := dialer()
	made := &http.Transport{DisableKeepAlives: !p.Kept, DialContext: dialer.DialContext, Protocols: new(http.Protocols)}
	made.Protocols.SetHTTP1(!p.HTTP2)
	made.Protocols.SetUnencryptedHTTP2(p.HTTP2)
	if p.Ping > 0 {
		made.HTTP2 = &http.HTTP2Config{SendPingTimeout: p.Ping.Std(), PingTimeout: p.Ping.Std()}
	}
	if p.Kept {
		made.MaxConnsPerHost = 1
		p.kept.transport = made
	}
	return made
}

// used notes the port of the connection that is kept.
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
	return &HTTP{URL: p.URL, Method: p.Method, Status: p.Status, Kept: true, HTTP2: p.HTTP2, Ping: p.Ping}
}

// Port is the source port of the connection that is kept, or 0 while there is none.
func (p *HTTP) Port() uint16 {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	return p.kept.port
}

// Close closes the connection.
func (p *HTTP) Close() error {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	if p.kept.transport != nil {
		p.kept.transport.CloseIdleConnections()
	}
	return nil
}
