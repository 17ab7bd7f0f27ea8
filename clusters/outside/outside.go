// Package outside describes the outside of every cluster: a host, and a DNS server for names outside the cluster.
package outside

// Addresses reserved for documentation by RFC 5737.
const (
	Network = "203.0.113.0/24"
	DNS     = "203.0.113.53"
	Host    = "203.0.113.10"
)

// Corefile of the DNS server: example.com and everything below it is the outside host.
const Corefile = `.:53 {
    errors
    bind ` + DNS + `
    template IN A example.com {
        answer "{{ .Name }} 60 IN A ` + Host + `"
    }
    template IN AAAA example.com {
        rcode NOERROR
    }
    template ANY ANY . {
        rcode NXDOMAIN
    }
}
`
