package clusterwide

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// checkSelector checks a namespace and a selector of labels, which must not select everything.
func checkSelector(namespace, selector string) error {
	if namespace == "" || selector == "" {
		return errors.New("namespace and selector are required")
	}
	if wrong := validation.IsDNS1123Label(namespace); len(wrong) > 0 {
		return fmt.Errorf("namespace: %s", strings.Join(wrong, "; "))
	}
	if s, err := labels.Parse(selector); err != nil || s.Empty() {
		return fmt.Errorf("selector: %q is not a selector of labels, such as k8s-app=kube-dns", selector)
	}
	return nil
}
