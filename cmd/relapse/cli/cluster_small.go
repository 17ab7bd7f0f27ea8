package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

func newClusterList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List relapse's kind clusters", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := provision.List(c.Context())
			if err != nil {
				return coded{exitSkipped, err}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), append([]provision.Summary{}, all...))
			}
			p := page{w: c.OutOrStdout(), width: width(c.OutOrStdout())}
			if len(all) == 0 {
				p.verbatim("", "No clusters found. To create one, run: relapse cluster create")
			}
			for _, s := range all {
				p.verbatim(s.Name, "")
				p.text("  nodes  ", nodesText(s.Nodes))
				p.text("  with   ", fmt.Sprintf("%s, kube-proxy %s, CNI %s", s.Image, s.Proxy, s.CNI))
				p.text("  fence  ", fenceText(s.Fence))
				if s.Run != "" {
					p.text("  run    ", s.Run+"; the cluster is deleted when the run ends")
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func fenceText(fence string) string {
	switch fence {
	case provision.FenceNone:
		return "none: packets can leave the machine"
	case provision.FenceUnknown:
		return "unknown: reading the rules needs root"
	}
	return fence
}

func nodesText(nodes []provision.State) string {
	var parts []string
	for _, n := range nodes {
		parts = append(parts, n.Name+" ("+n.State+")")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func newClusterDelete() *cobra.Command {
	var name string
	var all bool
	c := &cobra.Command{
		Use: "delete", Short: "Delete a kind cluster", Args: exactly(0, "no arguments"),
		Long: `Delete deletes a kind cluster with its network and its fence. It is not an error if
the cluster does not exist. A cluster that a run is using is not deleted.

Without --name it deletes the cluster dev. --all deletes every cluster made with
relapse cluster create. Clusters that belong to a run are deleted when the run
ends.

Exit codes: 0 on success, 1 if it could not be deleted, 3 after Ctrl-C, 4 if this
machine has no running Docker.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if all && c.Flags().Changed("name") {
				return usage(errors.New("--name and --all cannot be combined"))
			}
			names := []string{provision.FullName(name)}
			if all {
				clusters, err := provision.List(c.Context())
				if err != nil {
					return coded{exitSkipped, err}
				}
				names = nil
				for _, s := range clusters {
					if s.Run == "" {
						names = append(names, s.Name)
					}
				}
			} else if err := (provision.Spec{Name: names[0]}).Check(); err != nil {
				return usage(err)
			}
			var errs []error
			for _, name := range names {
				err := deleteCluster(c.Context(), name)
				if err == nil {
					fmt.Fprintf(c.OutOrStdout(), "cluster %s is deleted\n", name)
				}
				errs = append(errs, err)
			}
			return failed(c.Context(), errors.Join(errs...))
		},
	}
	nameFlag(c, &name)
	c.Flags().BoolVar(&all, "all", false, "delete all clusters made with relapse cluster create")
	return c
}

// deleteCluster deletes a cluster, unless a run is using it.
func deleteCluster(ctx context.Context, name string) error {
	claim, err := provision.Claim(name)
	if err != nil {
		return err
	}
	s, _, err := provision.Find(ctx, name)
	switch {
	case err != nil:
	case s.InUse():
		err = fmt.Errorf("cluster %s belongs to run %s, which has not ended", name, s.Run)
	default:
		err = provision.Delete(ctx, name)
	}
	return errors.Join(err, claim.Close())
}

// component is an image, or the file of a CNI's project, that a cluster needs.
type component struct {
	Image string `json:"image,omitempty"`
	File  string `json:"file,omitempty"`
	URL   string `json:"url,omitempty"`
	// Digest is what the project published, if that is known.
	Digest string `json:"digest,omitempty"`
	// For is nodes for the node image, otherwise the name of the CNI that needs it.
	For string `json:"for"`
}

func newClusterImages() *cobra.Command {
	var s provision.Spec
	var asJSON bool
	c := &cobra.Command{
		Use: "images", Short: "List what a cluster needs from elsewhere", Args: exactly(0, "no arguments"),
		Long: `Images prints the node image and the other images that a cluster needs, and the
address of the CNI's manifest or chart, one a line. Without a registry, get them
on another machine (docker save, curl) and give the folder of the archives, with
the manifest or chart, to --images.

Some images are in no registry, because they are built here: relapse.dev/node, by
make node-image, and the agent's and flannel's images, which are not in the list.`,
		Example: `  relapse cluster images --cni cilium
  relapse cluster images --node-image kindest/node:v1.33.0 | xargs -n 1 docker pull`,
		RunE: func(c *cobra.Command, _ []string) error {
			plugin, err := cni.Find(s.CNI)
			if err != nil {
				return usage(err)
			}
			list := []component{{Image: provision.NodeImage(c.Context(), s), For: "nodes"}}
			if p := plugin.Published; p != nil {
				for _, image := range p.Names() {
					list = append(list, component{Image: image, Digest: p.Images[image], For: s.CNI})
				}
				list = append(list, component{File: p.File, URL: p.URL, Digest: "sha256:" + p.SHA256, For: s.CNI})
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), list)
			}
			for _, one := range list {
				fmt.Fprintln(c.OutOrStdout(), cmp.Or(one.Image, one.URL))
			}
			return nil
		},
	}
	configFlags(c, &s)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newClusterLoad() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "load ARCHIVE...", Short: "Load image archives into the nodes of a kind cluster",
		Long: `Load loads images from archives instead of a registry: archives made by docker
save, or OCI layouts in a tar file.`,
		Example: "  relapse cluster load --name dev ./calico.tar",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s takes one or more image archives; see %[1]s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, archives []string) error {
			s := provision.Spec{Name: provision.FullName(name), Archives: archives}
			if err := s.Check(); err != nil {
				return usage(err)
			}
			cluster, err := provision.Open(c.Context(), s.Name)
			if err == nil {
				err = cluster.Load(c.Context(), archives...)
			}
			if err != nil {
				return failed(c.Context(), err)
			}
			fmt.Fprintf(c.OutOrStdout(), "loaded into %d nodes\n", len(cluster.Nodes))
			return nil
		},
	}
	nameFlag(c, &name)
	return c
}
