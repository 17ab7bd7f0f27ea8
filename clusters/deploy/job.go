package deploy

import (
	"bytes"
	_ "embed" // the manifests are part of the program
	"encoding/json"
	"fmt"
	"regexp"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

//go:embed job.yaml
var manifests string

const resultsPath = "/results"

// Options are what differs between clusters.
type Options struct {
	// Image is the reference of the image on the nodes.
	Image string
	// Shards is how many pods share the suite.
	Shards int
	// Args are those of relapse run: --all, or what else selects scenarios.
	Args []string
	// Namespace is made for it.
	Namespace string
	// StorageClass of the volume for the results; empty means the cluster's default. AccessMode is ReadWriteMany, or ReadWriteOnce if all pods
	// are on one node. Storage is its size, such as 5Gi.
	StorageClass, AccessMode, Storage string
	// Deadline is when pods that still run are ended.
	Deadline time.Duration
}

// Capability is a right of the Job's containers, and what it is for.
type Capability struct{ Name, Why string }

// capabilities are those without which a scenario of the lab does not pass in a container.
var capabilities = []Capability{
	{"SYS_ADMIN", "namespaces for the nodes and pods of the lab, with mounts of their own"},
	{"SYS_CHROOT", "entering the mount namespaces of the lab"},
	{"NET_ADMIN", "links, addresses, routes, nftables, conntrack and NFQUEUE in these namespaces"},
	{"NET_RAW", "capturing packets there"},
	{"SETUID", "the programs of the lab's pods run as users who own nothing"},
	{"SETGID", "the same for groups"},
	{"CHOWN", "these users get the ends of pipes that they write to"},
}

var (
	nameForm  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	imageForm = regexp.MustCompile(`^[a-zA-Z0-9][\w.:/@-]*$`)
)

func (o Options) check() error {
	switch {
	case !imageForm.MatchString(o.Image):
		return fmt.Errorf("invalid image %q", o.Image)
	case o.Shards < 1 || o.Shards > 1000:
		return fmt.Errorf("invalid number of shards %d: must be from 1 to 1000", o.Shards)
	case !nameForm.MatchString(o.Namespace):
		return fmt.Errorf("invalid namespace %q: must be lower case letters, digits and dashes", o.Namespace)
	case o.AccessMode != "ReadWriteMany" && o.AccessMode != "ReadWriteOnce":
		return fmt.Errorf("invalid access mode %q: must be ReadWriteMany or ReadWriteOnce", o.AccessMode)
	case o.Deadline < time.Second:
		return fmt.Errorf("invalid deadline %s: must be at least 1s", o.Deadline)
	}
	if _, err := resource.ParseQuantity(o.Storage); err != nil {
		return fmt.Errorf("invalid storage %q: must be a size such as 5Gi", o.Storage)
	}
	return nil
}

// Manifests returns the objects that run a suite in several pods, as YAML that kubectl takes: see job.yaml.
func Manifests(o Options) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	// A string of JSON is one of YAML too.
	quote := func(text string) (string, error) { data, err := json.Marshal(text); return string(data), err }
	t, err := template.New("job.yaml").Funcs(template.FuncMap{"quote": quote}).Option("missingkey=error").Parse(manifests)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Image": o.Image, "Shards": o.Shards, "Args": o.Args, "Namespace": o.Namespace, "StorageClass": o.StorageClass, "AccessMode": o.AccessMode,
		"Storage": o.Storage, "Deadline": int(o.Deadline.Seconds()), "Capabilities": capabilities,
	})
	return out.Bytes(), err
}
