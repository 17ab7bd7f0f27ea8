// Package kubeobjects reads and writes objects of any kind that an API server has.
package kubeobjects

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Manager is who the API server is told that fields belong to.
const Manager = "relapse"

// RunLabel is on every object that a run makes.
const RunLabel = "relapse.dev/run"

// Client reads and writes objects of any kind that the API server knows.
type Client struct {
	client dynamic.Interface
	kinds  discovery.CachedDiscoveryInterface
	mapper *restmapper.DeferredDiscoveryRESTMapper
	// namespace is where those objects are that are given without one, or with the default one.
	namespace string
}

// In returns the same for another namespace.
func (o Client) In(namespace string) *Client {
	o.namespace = namespace
	return &o
}

// New returns a Client of an API server.
func New(config *rest.Config) (*Client, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // what a run left is looked for among all kinds, one request each
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	kinds := memory.NewMemCacheClient(found)
	return &Client{client: client, kinds: kinds, mapper: restmapper.NewDeferredDiscoveryRESTMapper(kinds), namespace: metav1.NamespaceDefault}, nil
}

// Parse reads an object and gives it a namespace if its kind has one.
func (o *Client) Parse(text []byte) (*unstructured.Unstructured, dynamic.ResourceInterface, error) {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, object); err != nil {
		return nil, nil, err
	}
	if object.GetNamespace() == metav1.NamespaceDefault {
		object.SetNamespace(o.namespace)
	}
	resource, err := o.resource(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version, object.GetNamespace())
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return object, resource, nil
}

// resource is where objects of a kind are; of a kind without a group the one that the API server prefers.
func (o *Client) resource(kind schema.GroupKind, version, namespace string) (dynamic.ResourceInterface, error) {
	var versions []string
	if version != "" {
		versions = []string{version}
	}
	mapping, err := o.mapper.RESTMapping(kind, versions...)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return o.client.Resource(mapping.Resource), nil
	}
	if cmp.Or(namespace, metav1.NamespaceDefault) == metav1.NamespaceDefault {
		namespace = o.namespace
	}
	return o.client.Resource(mapping.Resource).Namespace(namespace), nil
}

// InDefault says whether an object is in the default namespace. Of a kind that the API server does not know yet, nobody can say.
func (o *Client) InDefault(text []byte) bool {
	object := &unstructured.Unstructured{}
	if json.Unmarshal(text, object) != nil {
		return false
	}
	mapping, err := o.mapper.RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
	return err == nil && mapping.Scope.Name() == meta.RESTScopeNameNamespace &&
		cmp.Or(object.GetNamespace(), metav1.NamespaceDefault) == metav1.NamespaceDefault
}

// named is the API resource of a kind that is given only by its name. Kinds of Kubernetes' own groups come before those of others.
func (o *Client) named(kind, namespace string) (dynamic.ResourceInterface, error) {
	all, err := o.deletable()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r apiResource) bool { return r.kind == kind && scheme.Scheme.IsGroupRegistered(r.gvr.Group) })
	if i < 0 {
		i = slices.IndexFunc(all, func(r apiResource) bool { return r.kind == kind })
	}
	if i < 0 {
		return nil, fmt.Errorf("the cluster has no objects of kind %s", kind)
	}
	return o.resource(schema.GroupKind{Group: all[i].gvr.Group, Kind: kind}, "", namespace)
}

// Apply creates or replaces an object.
func (o *Client) Apply(ctx context.Context, text []byte) (*unstructured.Unstructured, error) {
	object, resource, err := o.Parse(text)
	if err != nil {
		return nil, err
	}
	applied, err := resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: Manager, Force: true})
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return applied, nil
}

// There returns an object as the cluster has it, or nil.
func (o *Client) There(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error) {
	resource, err := o.named(kind, namespace)
	if err != nil {
		return nil, err
	}
	object, err := resource.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	return object, nil
}

// Get returns an object as it could be given, or nil.
func (o *Client) Get(ctx context.Context, kind, namespace, name string) ([]byte, error) {
	object, err := o.There(ctx, kind, namespace, name)
	if err != nil || object == nil {
		return nil, err
	}
	unstructured.RemoveNestedField(object.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	if object.GetNamespace() == o.namespace {
		object.SetNamespace(metav1.NamespaceDefault) // as it was given
	}
	return json.Marshal(object)
}

// Foreign says whether an object exists that no workload created: it belongs to the cluster or to its other users.
func (o *Client) Foreign(ctx context.Context, kind, namespace, name string) (bool, error) {
	object, err := o.There(ctx, kind, namespace, name)
	return object != nil && object.GetLabels()[RunLabel] == "", err
}

// Remove deletes an object; what is not there is deleted already.
func (o *Client) Remove(ctx context.Context, kind, namespace, name string) error {
	resource, err := o.named(kind, namespace)
	if err != nil {
		return err
	}
	return removeFrom(ctx, resource, Ref{kind, namespace, name})
}

// Established says why the API server does not have the kind that an object defines, or nothing. The kinds are then asked for anew.
func (o *Client) Established(ctx context.Context, made *unstructured.Unstructured) (string, error) {
	if made.GetKind() != "CustomResourceDefinition" {
		return "", nil
	}
	there, err := o.There(ctx, made.GetKind(), "", made.GetName())
	if err != nil || there == nil {
		return "", cmp.Or(err, fmt.Errorf("%s %s is gone", made.GetKind(), made.GetName()))
	}
	conditions, _, _ := unstructured.NestedSlice(there.Object, "status", "conditions")
	for _, one := range conditions {
		fields, _ := one.(map[string]any)
		if fields["type"] == "Established" && fields["status"] == "True" {
			o.mapper.Reset()
			return "", nil
		}
	}
	return fmt.Sprintf("%s %s is not established", made.GetKind(), made.GetName()), nil
}

// Remove deletes it; what is not there is deleted already.
func (l Labelled) Remove(ctx context.Context) error { return removeFrom(ctx, l.resource, l.Ref) }

// Gone says whether it is not there any more. Another object of its name, which a controller made in its place, is not it.
func (l Labelled) Gone(ctx context.Context) (bool, error) {
	there, err := l.resource.Get(ctx, l.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("%s: %w", l.Ref, err)
	}
	return there.GetUID() != l.uid, nil
}

func removeFrom(ctx context.Context, resource dynamic.ResourceInterface, object Ref) error {
	background := metav1.DeletePropagationBackground
	err := resource.Delete(ctx, object.Name, metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", object, err)
	}
	return nil
}

// Ref is an object by its name.
type Ref struct{ Kind, Namespace, Name string }

func (n Ref) String() string { return n.Kind + " " + strings.Trim(n.Namespace+"/"+n.Name, "/") }

// apiResource is a kind of objects that can be listed and deleted.
type apiResource struct {
	gvr  schema.GroupVersionResource
	kind string
}

// deletable lists all such kinds, in the order in which objects are deleted: what makes pods first, so that it does not make new ones, and
// last what holds others.
func (o *Client) deletable() ([]apiResource, error) {
	lists, err := discovery.ServerPreferredResources(o.kinds)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) { // a group of an extension that does not answer has no objects of ours
		return nil, fmt.Errorf("the kinds of objects that the cluster has: %w", err)
	}
	var all []apiResource
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists) {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if r.Kind != "Event" { // they end by themselves
				all = append(all, apiResource{version.WithResource(r.Name), r.Kind})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b apiResource) int { return cmp.Compare(deletedAt(a.kind), deletedAt(b.kind)) })
	return all, nil
}

func deletedAt(kind string) int {
	order := []string{"CronJob", "Job", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Pod", "", "CustomResourceDefinition", "Namespace"}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return slices.Index(order, "")
}

// Labelled is an object with a label.
type Labelled struct {
	Ref
	resource dynamic.ResourceInterface
	uid      types.UID
	// Owned means that another object made it, and that it goes with that one.
	Owned bool
}

// Labelled lists the objects with a label, of all kinds and in all namespaces, in the order in which they are deleted.
func (o *Client) Labelled(ctx context.Context, selector string) ([]Labelled, error) {
	kinds, err := o.deletable()
	if err != nil {
		return nil, err
	}
	var found []Labelled
	for _, r := range kinds {
		list, err := o.client.Resource(r.gvr).List(ctx, metav1.ListOptions{LabelSelector: selector})
		switch {
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err): // the kind is gone meanwhile
			continue
		case err != nil:
			return nil, fmt.Errorf("list %s with label %s: %w", r.kind, selector, err)
		}
		for _, item := range list.Items {
			one := Labelled{Ref: Ref{r.kind, item.GetNamespace(), item.GetName()}, resource: o.client.Resource(r.gvr), uid: item.GetUID(), Owned: owned(item)}
			if item.GetNamespace() != "" {
				one.resource = o.client.Resource(r.gvr).Namespace(item.GetNamespace())
			}
			found = append(found, one)
		}
	}
	return found, nil
}

// owned says whether a controller made an object. Endpoints have a Service's labels, and no owner, since Kubernetes 1.33 a label.
// Source: Kubernetes pkg/controller/endpoint/endpoints_controller.go.
func owned(object unstructured.Unstructured) bool {
	return metav1.GetControllerOf(&object) != nil || object.GetLabels()["endpoints.kubernetes.io/managed-by"] != ""
}

// ImageVersions are the tags of the images of the cluster's own pods: coredns, etcd.
func (o *Client) ImageVersions(ctx context.Context) map[string]string {
	versions := map[string]string{}
	pods, err := o.named("Pod", metav1.NamespaceSystem)
	if err != nil {
		return versions
	}
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return versions
	}
	for _, pod := range list.Items {
		containers, _, _ := unstructured.NestedSlice(pod.Object, "spec", "containers")
		for _, c := range containers {
			fields, _ := c.(map[string]any)
			name, _ := fields["name"].(string)
			image, _ := fields["image"].(string)
			if _, tag, ok := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":"); ok && (name == "coredns" || name == "etcd") {
				versions[name] = tag
			}
		}
	}
	return versions
}
