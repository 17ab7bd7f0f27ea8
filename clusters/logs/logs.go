// Package logs defines log lines, and recognizes known lines of programs in pods, on every kind of cluster.
package logs

import (
	"regexp"
	"strings"
)

// Line is a line of a log.
type Line struct {
	// Source is kernel, or the program's name.
	Source string `json:"source"`
	On     string `json:"on,omitempty"`
	Line   string `json:"line"`
	// Event is the name of the known message, such as conntrack-table-full, or empty.
	Event string `json:"event,omitempty"`
	// Netns is the inode of the network namespace that the line names, or 0.
	Netns uint64 `json:"netns,omitempty"`
	// Fields are the values in the line, by name: direction, pod, policy.
	Fields map[string]string `json:"fields,omitempty"`
}

// knownLine is a line of a program's log that relapse knows.
type knownLine struct {
	// source is the image whose program logs it.
	source string
	// event is the name that detectors use.
	event string
	// pattern recognizes it; its named groups are the fields of the event.
	pattern *regexp.Regexp
}

// Events of known lines.
const (
	// eventUpstreamReset is a connection to an upstream that ended with a RST after the request was sent and before the response began.
	// HAProxy and Envoy do not distinguish it from an end with a FIN.
	eventUpstreamReset = "upstream-reset"
	// eventUpstreamClosed is the same with a FIN, for programs that distinguish the two.
	eventUpstreamClosed = "upstream-closed"
	// eventUpstreamTimeout is a question that no upstream server answered, eventServfail one that failed for another reason.
	eventUpstreamTimeout = "upstream-timeout"
	eventServfail        = "servfail"
	// eventLoop is a question of CoreDNS's that came back to it, upon which it ends.
	eventLoop = "loop"
	// eventAnswer is any answer, which CoreDNS logs only with the plugin log.
	eventAnswer = "answer"
)

// meanings of the events, for people.
var meanings = map[string]string{
	eventUpstreamReset:  "a connection to an upstream ended after the request was sent and before the response began; of nginx: with a RST",
	eventUpstreamClosed: "the same, with a FIN",

	eventUpstreamTimeout: "no upstream server answered a question in time, so that the answer is SERVFAIL",
	eventServfail:        "the answer is SERVFAIL for another reason",
	eventLoop:            "a question came back to CoreDNS, which ends",
	eventAnswer:          "an answer; CoreDNS logs them with the plugin log only",
}

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
	// CoreDNS plugin/errors/errors.go (ServeDNS): 2 is SERVFAIL. The rest is Go's error (net.OpError).
	{"coredns", eventUpstreamTimeout, regexp.MustCompile(
		`\[ERROR\] plugin/errors: 2 (?P<name>\S+) (?P<type>\S+): .*->(?P<upstream>\S+): i/o timeout`)},
	{"coredns", eventServfail, regexp.MustCompile(`\[ERROR\] plugin/errors: 2 (?P<name>\S+) (?P<type>\S+): (?P<reason>.*)`)},
	// CoreDNS plugin/loop/loop.go (ServeDNS).
	{"coredns", eventLoop, regexp.MustCompile(`\[FATAL\] plugin/loop: Loop \(\S+ -> (?P<upstream>\S*)\) detected for zone "(?P<zone>[^"]*)"`)},
	// CoreDNS plugin/log/log.go (CommonLogFormat).
	{"coredns", eventAnswer, regexp.MustCompile(
		`^\[INFO\] (?P<client>\S+):\d+ - \d+ "(?P<type>\S+) IN (?P<name>\S*?(?P<domain>[^.\s]+\.[^.\s]+\.)) (?P<transport>\S+) \d+ \S+ \d+" (?P<rcode>[A-Z]+) `)},
}

// nginxRequest is what nginx adds to errors of a request. Source: nginx src/http/ngx_http_request.c (ngx_http_log_error_handler).
const nginxRequest = `request: "(?P<request>[^"]*)", upstream: "(?P<upstream>[^"]*)"`

// SourceOf is the source of the log of a container with this image: its name without registry, folders, tag and digest.
func SourceOf(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	return name[:strings.IndexAny(name+":", ":@")]
}

// Recognize recognizes a line of a program.
func Recognize(source, line string) (Line, bool) {
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
		return Line{Source: source, Line: line, Event: k.event, Fields: fields}, true
	}
	return Line{}, false
}

// Patterns lists the patterns of a program's known lines, so that its agent sends only those.
func Patterns(source string) []string {
	var all []string
	for _, k := range lines {
		if k.source == source {
			all = append(all, k.pattern.String())
		}
	}
	return all
}
