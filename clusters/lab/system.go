package lab

// The cluster's own objects: CoreDNS as kubeadm sets it up, two pods behind the Service kube-dns.
var system = [][]byte{
	configMap(corefile),
	[]byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"kube-dns","namespace":"kube-system","labels":{"k8s-app":"kube-dns"}},
		"spec":{"clusterIP":"10.96.0.10","selector":{"k8s-app":"kube-dns"},"ports":[
			{"name":"dns","protocol":"UDP","port":53},{"name":"dns-tcp","protocol":"TCP","port":53}]}}`),
	[]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"coredns","namespace":"kube-system"},
		"spec":{"replicas":2,"selector":{"matchLabels":{"k8s-app":"kube-dns"}},"template":{"metadata":{"labels":{"k8s-app":"kube-dns"}},
			"spec":{"dnsPolicy":"Default","containers":[{"name":"coredns","image":"coredns"}]}}}}`),
}
