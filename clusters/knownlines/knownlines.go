// Package knownlines recognizes lines of the logs of programs that run in pods, whatever the kind of cluster.
package knownlines

import (
	"regexp"

	"github.com/relapse-k8s/relapse/harness/history"
)

// knownLine is a line of a program's log that relapse knows.
type knownLine struct {
	// source is the image whose program says it.
	source string
	// event is the name by which detectors look for it.
	event string
	// pattern recognizes it; its named groups are the fields of the event.
	pattern *regexp.Regexp
}

// Events of known lines.
const (
	// eventUpstreamReset is a connection to an upstream that ended with an RST after the request was sent and before the response
	// began. HAProxy and Envoy do not tell it from an end with a FIN.
	eventUpstreamReset = "upstream-reset"
	// eventUpstreamClosed is the same with a FIN, where a program tells the two apart.
	eventUpstreamClosed = "upstream-closed"
)

// lines are all of them.
var lines = []knownLine{
	// nginx src/os/unix/ngx_recv.c (ngx_unix_recv) for the error, src/http/ngx_http_upstream.c (ngx_http_upstream_send_request) for
	// what was being done.
	{"nginx", eventUpstreamReset, regexp.MustCompile(
		`recv\(\) failed \(104: Connection reset by peer\) while reading response header from upstream.*` + nginxRequest)},
	// nginx src/http/ngx_http_upstream.c (ngx_http_upstream_process_header).
	{"nginx", eventUpstreamClosed, regexp.MustCompile(
		`upstream prematurely closed connection while reading response header from upstream.*` + nginxRequest)},
	// HAProxy configuration manual, 8.2.3 HTTP log format, and 8.5 Session state at disconnection: SH is a server that aborted before
	// its headers were complete. The two letters after that are about cookies.
	{"haproxy", eventUpstreamReset, regexp.MustCompile(
		` (?P<backend>\S+)/(?P<server>\S+) [-+\d]+(?:/[-+\d]+){4} (?P<status>\d{3}) \+?\d+ \S+ \S+ (?P<state>SH[-\w]{2}) `)},
	// Envoy, Access logging: the default format has the response flags after the response code; UC is upstream connection termination.
	{"envoy", eventUpstreamReset, regexp.MustCompile(
		`^\[[^\]]+\] "(?P<request>[^"]*)" (?P<status>\d{3}) (?P<flags>(?:\w+,)*UC(?:,\w+)*) `)},
}

// nginxRequest is what nginx adds to errors of a request. Source: nginx src/http/ngx_http_request.c (ngx_http_log_error_handler).
const nginxRequest = `request: "(?P<request>[^"]*)", upstream: "(?P<upstream>[^"]*)"`

// Recognize recognizes a line of a program.
func Recognize(source, line string) (history.Log, bool) {
	for _, k := range lines {
		if k.source != source {
			continue
		}
		m := k.pattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		fields := map[string]string{}
		for i, name := range k.pattern.SubexpNames() {
			if name != "" {
				fields[name] = m[i]
			}
		}
		return history.Log{Source: source, Line: line, Event: k.event, Fields: fields}, true
	}
	return history.Log{}, false
}

// Patterns lists the known lines of a program, for its agent to send no others.
func Patterns(source string) []string {
	var all []string
	for _, k := range lines {
		if k.source == source {
			all = append(all, k.pattern.String())
		}
	}
	return all
}
