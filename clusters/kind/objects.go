package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// manager is who the API server is told that fields belong to.
const manager = "relapse"

// runLabel is on every object that a run makes.
const runLabel = "relapse.dev/run"

// objects reads and writes objects of any kind that the API server knows.
type objects struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func newObjects(config *rest.Config) (*objects, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &objects{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds))}, nil
}

// parse reads an object and gives it a namespace if its kind has one.
func (o *objects) parse(text []byte) (*unstructured.Unstructured, dynamic.ResourceInterface, error) {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, object); err != nil {
		return nil, nil, err
	}
	resource, err := o.resource(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version, object.GetNamespace())
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return object, resource, nil
}

// resource is where objects of a kind are; of a kind without a group the one that the API server prefers.
func (o *objects) resource(kind schema.GroupKind, version, namespace string) (dynamic.ResourceInterface, error) {
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
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return o.client.Resource(mapping.Resource).Namespace(namespace), nil
}

// groups of the kinds that changes name without one.
var groups = map[string]string{"NetworkPolicy": "networking.k8s.io", "Deployment": "apps", "DaemonSet": "apps", "EndpointSlice": "discovery.k8s.io"}

// named is the API resource of a kind that is given only by its name.
func (o *objects) named(kind, namespace string) (dynamic.ResourceInterface, error) {
	return o.resource(schema.GroupKind{Group: groups[kind], Kind: kind}, "", namespace)
}

// apply creates or replaces an object.
func (o *objects) apply(ctx context.Context, text []byte) (*unstructured.Unstructured, error) {
	object, resource, err := o.parse(text)
	if err != nil {
		return nil, err
	}
	applied, err := resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return applied, nil
}

// get returns an object as it could be given, or nil.
func (o *objects) get(ctx context.Context, kind, namespace, name string) ([]byte, error) {
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
	unstructured.RemoveNestedField(object.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	return json.Marshal(object)
}

// foreign says whether an object exists that no workload created: it belongs to the cluster or to its other users.
func (o *objects) foreign(ctx context.Context, kind, namespace, name string) (bool, error) {
	resource, err := o.named(kind, namespace)
	if err != nil {
		return false, err
	}
	there, err := resource.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	return there.GetLabels()[runLabel] == "", nil
}

// remove deletes an object; what is not there is deleted already.
func (o *objects) remove(ctx context.Context, kind, namespace, name string) error {
	resource, err := o.named(kind, namespace)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = resource.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s: %w", kind, name, err)
	}
	return nil
}

// workloadKinds are the kinds that workloads are made of, in the order in which they are deleted.
var workloadKinds = []string{"Deployment", "Pod", "Service", "ConfigMap", "NetworkPolicy", "Namespace"}

// labelled is an object with a label.
type labelled struct{ kind, namespace, name string }

func (l labelled) String() string { return l.kind + " " + strings.Trim(l.namespace+"/"+l.name, "/") }

// labelled lists the objects of workloads' kinds with a label, in all namespaces, in the order in which they are deleted.
func (o *objects) labelled(ctx context.Context, selector string) ([]labelled, error) {
	var found []labelled
	for _, kind := range workloadKinds {
		mapping, err := o.mapper.RESTMapping(schema.GroupKind{Group: groups[kind], Kind: kind})
		if err != nil {
			return nil, err
		}
		list, err := o.client.Resource(mapping.Resource).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, fmt.Errorf("list %s with label %s: %w", kind, selector, err)
		}
		for _, item := range list.Items {
			found = append(found, labelled{kind, item.GetNamespace(), item.GetName()})
		}
	}
	return found, nil
}

// imageVersions are the tags of the images of the cluster's own pods: coredns, etcd.
func (o *objects) imageVersions(ctx context.Context) map[string]string {
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
