package provision

import (
	"fmt"
	"io"
	"strings"
	"sync"

	kindlog "sigs.k8s.io/kind/pkg/log"
)

// logger writes kind's messages to a log, and reports progress.
type logger struct {
	mu     sync.Mutex
	w      io.Writer
	status func(string)
}

// verbosity includes the output of kubeadm, but not more.
const verbosity kindlog.Level = 3

func (l *logger) write(kind, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintln(l.w, kind+strings.TrimRight(text, "\n")) // a log that cannot be written must not end the creation
}

func (l *logger) Warn(text string)                  { l.write("warning: ", text) }
func (l *logger) Warnf(format string, args ...any)  { l.Warn(fmt.Sprintf(format, args...)) }
func (l *logger) Error(text string)                 { l.write("error: ", text) }
func (l *logger) Errorf(format string, args ...any) { l.Error(fmt.Sprintf(format, args...)) }
func (l *logger) V(level kindlog.Level) kindlog.InfoLogger {
	return infoLogger{logger: l, level: level}
}

type infoLogger struct {
	logger *logger
	level  kindlog.Level
}

func (l infoLogger) Enabled() bool { return l.level <= verbosity }

func (l infoLogger) Info(text string) {
	if !l.Enabled() {
		return
	}
	l.logger.write("", text)
	if doing, ok := strings.CutPrefix(text, " • "); ok {
		l.logger.status(plainText(doing))
	}
}

func (l infoLogger) Infof(format string, args ...any) { l.Info(fmt.Sprintf(format, args...)) }

// plainText removes emoji.
func plainText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r > 0x7e {
			return -1
		}
		return r
	}, text)
	return strings.TrimRight(text, " .\n")
}
