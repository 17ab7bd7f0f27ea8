package lab

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/outside"
)

// resolvConf is the file that the kubelet would write for a pod. Source: Kubernetes pkg/kubelet/network/dns/dns.go.
func resolvConf(pod *corev1.Pod) string {
	nameservers := []string{clusterDNS}
	search := []string{pod.Namespace + ".svc." + clusterDomain, "svc." + clusterDomain, clusterDomain}
	options := []string{"ndots:5"}
	switch pod.Spec.DNSPolicy {
	case corev1.DNSDefault:
		nameservers, search, options = []string{outside.DNS}, nil, nil
	case corev1.DNSNone:
		nameservers, search, options = nil, nil, nil
	}
	if config := pod.Spec.DNSConfig; config != nil {
		nameservers = append(nameservers, config.Nameservers...)
		search = append(search, config.Searches...)
		for _, option := range config.Options {
			options = slices.DeleteFunc(options, func(old string) bool {
				return strings.SplitN(old, ":", 2)[0] == option.Name
			})
			if option.Value != nil {
				option.Name += ":" + *option.Value
			}
			options = append(options, option.Name)
		}
	}
	var text strings.Builder
	if len(search) > 0 {
		fmt.Fprintln(&text, "search", strings.Join(search, " "))
	}
	for _, server := range nameservers[:min(3, len(nameservers))] {
		fmt.Fprintln(&text, "nameserver", server)
	}
	if len(options) > 0 {
		fmt.Fprintln(&text, "options", strings.Join(options, " "))
	}
	return text.String()
}

// podFiles are the files of a pod that are not the machine's.
func podFiles(pod *corev1.Pod) map[string]string {
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if pod.Status.PodIP != "" {
		hosts += pod.Status.PodIP + "\t" + pod.Name + "\n"
	}
	return map[string]string{
		"/etc/resolv.conf": resolvConf(pod), "/etc/hosts": hosts,
		// Neither a resolver of the machine nor multicast may answer in place of the cluster's DNS.
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
	}
}
