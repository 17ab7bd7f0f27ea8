package load

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	kfield "k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Source: Kubernetes pkg/apis/core/validation, pkg/apis/apps/validation and pkg/apis/networking/validation, which cannot be imported.

var (
	metadata  = kfield.NewPath("metadata")
	spec      = kfield.NewPath("spec")
	protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
)

// checkPod: a pod's name is also its host name, so that it must be a label.
func checkPod(p *corev1.Pod) kfield.ErrorList {
	return append(apivalidation.ValidateObjectMeta(namespaced(&p.ObjectMeta), true, apivalidation.NameIsDNSLabel, metadata), checkPodSpec(&p.Spec, spec)...)
}

func checkDeployment(d *appsv1.Deployment) kfield.ErrorList {
	errs := apivalidation.ValidateObjectMeta(namespaced(&d.ObjectMeta), true, apivalidation.NameIsDNSLabel, metadata)
	if n := d.Spec.Replicas; n != nil && (*n < 0 || *n > scenario.MaxReplicas) {
		errs = append(errs, kfield.Invalid(spec.Child("replicas"), *n, validation.InclusiveRangeError(0, scenario.MaxReplicas)))
	}
	at, template := spec.Child("selector"), spec.Child("template")
	selector := d.Spec.Selector
	if selector == nil || len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		errs = append(errs, kfield.Required(at, "it must select the pods of the template"))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at)...)
		if s, err := metav1.LabelSelectorAsSelector(selector); err == nil && !s.Matches(labels.Set(d.Spec.Template.Labels)) {
			errs = append(errs, kfield.Invalid(template.Child("metadata", "labels"), labels.Set(d.Spec.Template.Labels).String(), "selector does not match template labels"))
		}
	}
	errs = append(errs, metavalidation.ValidateLabels(d.Spec.Template.Labels, template.Child("metadata", "labels"))...)
	errs = append(errs, apivalidation.ValidateAnnotations(d.Spec.Template.Annotations, template.Child("metadata", "annotations"))...)
	return append(errs, checkPodSpec(&d.Spec.Template.Spec, template.Child("spec"))...)
}

func checkPodSpec(s *corev1.PodSpec, at *kfield.Path) kfield.ErrorList {
	var errs kfield.ErrorList
	volumes := sets.New[string]()
	for i, v := range s.Volumes {
		errs = append(errs, label(v.Name, at.Child("volumes").Index(i).Child("name"), volumes)...)
	}
	if len(s.Containers) == 0 {
		errs = append(errs, kfield.Required(at.Child("containers"), "a pod needs a container"))
	}
	containers := sets.New[string]()
	for i := range s.Containers {
		c, in := &s.Containers[i], at.Child("containers").Index(i)
		errs = append(errs, label(c.Name, in.Child("name"), containers)...)
		errs = append(errs, checkContainer(c, in)...)
	}
	if s.NodeName != "" {
		errs = append(errs, invalid(at.Child("nodeName"), s.NodeName, apivalidation.NameIsDNSSubdomain(s.NodeName, false))...)
	}
	policies := []corev1.DNSPolicy{corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone, corev1.DNSClusterFirstWithHostNet}
	errs = append(errs, oneOf(at.Child("dnsPolicy"), s.DNSPolicy, policies)...)
	if c := s.DNSConfig; c != nil {
		dns := at.Child("dnsConfig")
		for i, server := range c.Nameservers {
			errs = append(errs, validation.IsValidIP(dns.Child("nameservers").Index(i), server)...)
		}
		if n := len(c.Nameservers); n > 3 {
			errs = append(errs, kfield.TooMany(dns.Child("nameservers"), n, 3))
		}
		for i, search := range c.Searches {
			if search != "." {
				errs = append(errs, invalid(dns.Child("searches").Index(i), search, validation.IsDNS1123SubdomainWithUnderscore(strings.TrimSuffix(search, ".")))...)
			}
		}
		for i, option := range c.Options {
			if option.Name == "" {
				errs = append(errs, kfield.Required(dns.Child("options").Index(i).Child("name"), ""))
			}
		}
	}
	return errs
}

func checkContainer(c *corev1.Container, at *kfield.Path) kfield.ErrorList {
	var errs kfield.ErrorList
	if c.Image == "" {
		errs = append(errs, kfield.Required(at.Child("image"), ""))
	}
	ports := sets.New[string]()
	for i, p := range c.Ports {
		in := at.Child("ports").Index(i)
		if p.Name != "" {
			errs = append(errs, invalid(in.Child("name"), p.Name, validation.IsValidPortName(p.Name))...)
			errs = append(errs, twice(in.Child("name"), p.Name, ports)...)
		}
		errs = append(errs, invalid(in.Child("containerPort"), p.ContainerPort, validation.IsValidPortNum(int(p.ContainerPort)))...)
		errs = append(errs, oneOf(in.Child("protocol"), p.Protocol, protocols)...)
	}
	for i, m := range c.VolumeMounts {
		in := at.Child("volumeMounts").Index(i)
		if m.Name == "" {
			errs = append(errs, kfield.Required(in.Child("name"), ""))
		}
		if m.MountPath == "" {
			errs = append(errs, kfield.Required(in.Child("mountPath"), ""))
		}
	}
	return errs
}

func checkService(s *corev1.Service) kfield.ErrorList {
	errs := apivalidation.ValidateObjectMeta(namespaced(&s.ObjectMeta), true, apivalidation.NameIsDNS1035Label, metadata)
	errs = append(errs, metavalidation.ValidateLabels(s.Spec.Selector, spec.Child("selector"))...)
	errs = append(errs, oneOf(spec.Child("type"), s.Spec.Type, []corev1.ServiceType{
		corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName,
	})...)
	errs = append(errs, oneOf(spec.Child("sessionAffinity"), s.Spec.SessionAffinity, []corev1.ServiceAffinity{corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP})...)
	if ip := s.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone {
		errs = append(errs, validation.IsValidIP(spec.Child("clusterIP"), ip)...)
	}
	ports := spec.Child("ports")
	if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP != corev1.ClusterIPNone && s.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, kfield.Required(ports, ""))
	}
	names, numbers := sets.New[string](), sets.New[corev1.ServicePort]()
	for i, p := range s.Spec.Ports {
		at := ports.Index(i)
		switch {
		case p.Name != "":
			errs = append(errs, label(p.Name, at.Child("name"), names)...)
		case len(s.Spec.Ports) > 1:
			errs = append(errs, kfield.Required(at.Child("name"), "each of several ports needs a name"))
		}
		errs = append(errs, invalid(at.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port)))...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, protocols)...)
		if p.TargetPort != (intstr.IntOrString{}) {
			errs = append(errs, portOrName(at.Child("targetPort"), p.TargetPort)...)
		}
		number := corev1.ServicePort{Protocol: p.Protocol, Port: p.Port}
		if number.Protocol == "" {
			number.Protocol = corev1.ProtocolTCP
		}
		if numbers.Has(number) {
			errs = append(errs, kfield.Duplicate(at.Child("port"), p.Port))
		}
		numbers.Insert(number)
	}
	return append(errs, checkExposure(&s.Spec)...)
}

func checkConfigMap(m *corev1.ConfigMap) kfield.ErrorList {
	errs := apivalidation.ValidateObjectMeta(namespaced(&m.ObjectMeta), true, apivalidation.NameIsDNSSubdomain, metadata)
	for key := range m.Data {
		errs = append(errs, invalid(kfield.NewPath("data").Key(key), key, validation.IsConfigMapKey(key))...)
	}
	return errs
}

func checkNamespace(n *corev1.Namespace) kfield.ErrorList {
	return apivalidation.ValidateObjectMeta(&n.ObjectMeta, false, apivalidation.ValidateNamespaceName, metadata)
}

func checkNetworkPolicy(p *networkingv1.NetworkPolicy) kfield.ErrorList {
	errs := apivalidation.ValidateObjectMeta(namespaced(&p.ObjectMeta), true, apivalidation.NameIsDNSSubdomain, metadata)
	errs = append(errs, selectorOf(&p.Spec.PodSelector, spec.Child("podSelector"))...)
	for i, t := range p.Spec.PolicyTypes {
		errs = append(errs, oneOf(spec.Child("policyTypes").Index(i), t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress})...)
	}
	for i, r := range p.Spec.Ingress {
		at := spec.Child("ingress").Index(i)
		errs = append(errs, checkPolicyRule(r.From, r.Ports, at.Child("from"), at.Child("ports"))...)
	}
	for i, r := range p.Spec.Egress {
		at := spec.Child("egress").Index(i)
		errs = append(errs, checkPolicyRule(r.To, r.Ports, at.Child("to"), at.Child("ports"))...)
	}
	return errs
}

func checkPolicyRule(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, atPeers, atPorts *kfield.Path) kfield.ErrorList {
	var errs kfield.ErrorList
	for i, peer := range peers {
		at := atPeers.Index(i)
		errs = append(errs, selectorOf(peer.PodSelector, at.Child("podSelector"))...)
		errs = append(errs, selectorOf(peer.NamespaceSelector, at.Child("namespaceSelector"))...)
		selects := peer.PodSelector != nil || peer.NamespaceSelector != nil
		switch {
		case peer.IPBlock == nil && !selects:
			errs = append(errs, kfield.Required(at, "must specify a peer"))
		case peer.IPBlock != nil && selects:
			errs = append(errs, kfield.Forbidden(at, "may not specify both ipBlock and another peer"))
		case peer.IPBlock != nil:
			errs = append(errs, validation.IsValidCIDR(at.Child("ipBlock", "cidr"), peer.IPBlock.CIDR)...)
			for j, except := range peer.IPBlock.Except {
				errs = append(errs, validation.IsValidCIDR(at.Child("ipBlock", "except").Index(j), except)...)
			}
		}
	}
	for i, p := range ports {
		at := atPorts.Index(i)
		if p.Protocol != nil {
			errs = append(errs, oneOf(at.Child("protocol"), *p.Protocol, protocols)...)
		}
		if p.Port != nil {
			errs = append(errs, portOrName(at.Child("port"), *p.Port)...)
		}
		if p.EndPort != nil {
			errs = append(errs, invalid(at.Child("endPort"), *p.EndPort, validation.IsValidPortNum(int(*p.EndPort)))...)
			if p.Port == nil || p.Port.Type != intstr.Int || *p.EndPort < p.Port.IntVal {
				errs = append(errs, kfield.Invalid(at.Child("endPort"), *p.EndPort, "must be greater than or equal to port, which must be a number"))
			}
		}
	}
	return errs
}

func selectorOf(s *metav1.LabelSelector, at *kfield.Path) kfield.ErrorList {
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, at)
}

func portOrName(at *kfield.Path, p intstr.IntOrString) kfield.ErrorList {
	if p.Type == intstr.Int {
		return invalid(at, p.IntVal, validation.IsValidPortNum(p.IntValue()))
	}
	return invalid(at, p.StrVal, validation.IsValidPortName(p.StrVal))
}

// label checks a name that must be a label and differ from the others.
func label(name string, at *kfield.Path, others sets.Set[string]) kfield.ErrorList {
	if name == "" {
		return kfield.ErrorList{kfield.Required(at, "")}
	}
	return append(invalid(at, name, validation.IsDNS1123Label(name)), twice(at, name, others)...)
}

func twice(at *kfield.Path, name string, others sets.Set[string]) kfield.ErrorList {
	if others.Has(name) {
		return kfield.ErrorList{kfield.Duplicate(at, name)}
	}
	others.Insert(name)
	return nil
}

// oneOf checks a word, which may be left out.
func oneOf[T ~string](at *kfield.Path, word T, known []T) kfield.ErrorList {
	if word == "" || slices.Contains(known, word) {
		return nil
	}
	return kfield.ErrorList{kfield.NotSupported(at, word, known)}
}

func invalid(at *kfield.Path, value any, messages []string) kfield.ErrorList {
	var errs kfield.ErrorList
	for _, m := range messages {
		errs = append(errs, kfield.Invalid(at, value, m))
	}
	return errs
}
