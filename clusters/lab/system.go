package lab

import "github.com/relapse-k8s/relapse/clusters/outside"

// The cluster's own objects: CoreDNS as kubeadm sets it up, two pods behind the Service kube-dns.
var system = [][]byte{
	[]byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"kube-dns","namespace":"kube-system","labels":{"k8s-app":"kube-dns"}},
		"spec":{"clusterIP":"10.96.0.10","selector":{"k8s-app":"kube-dns"},"ports":[
			{"name":"dns","protocol":"UDP","port":53},{"name":"dns-tcp","protocol":"TCP","port":53}]}}`),
	[]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"coredns","namespace":"kube-system"},
		"spec":{"replicas":2,"selector":{"matchLabels":{"k8s-app":"kube-dns"}},"template":{"metadata":{"labels":{"k8s-app":"kube-dns"}},
			"spec":{"dnsPolicy":"Default","containers":[{"name":"coredns","image":"coredns"}]}}}}`),
}

// corefile is kubeadm's, without the health and metrics ports, which nobody asks here, and with the lab's stand-in for the
// API server. Source: Kubernetes cmd/kubeadm/app/phases/addons/dns/manifests.go.
const corefile = `.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        endpoint http://` + apiAddress + `
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . ` + outside.DNS + ` {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    loadbalance
}
`

// apiAddress is where the stand-in for the API server listens, in CoreDNS's own pod.
const apiAddress = "127.0.0.1:16443"
