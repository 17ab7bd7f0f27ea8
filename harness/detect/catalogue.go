package detect

// Catalogue holds every detector by its name in scenario files. A new one is a file beside this one, a line here, and
// testdata/NAME with its settings and two recorded histories: one on which it fires and one on which it stays quiet.
var Catalogue = map[string]func() any{
	"counter":    func() any { return &Counter{} },
	"kernel-log": func() any { return &KernelLog{} },
	"latency":    func() any { return &Latency{} },
	"log":        func() any { return &Log{} },
	"spread":     func() any { return &Spread{} },
}
