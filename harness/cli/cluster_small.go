package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

func newClusterList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List relapse's kind clusters in the container engine", Args: exactly(0, "no arguments"),
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
				p.verbatim("", "there are no clusters; relapse cluster create makes one")
			}
			for _, s := range all {
				p.verbatim(s.Name, "")
				p.text("  nodes  ", nodesText(s.Nodes))
				p.text("  with   ", fmt.Sprintf("%s, kube-proxy %s, CNI %s", s.Image, s.Proxy, s.CNI))
				p.text("  fence  ", fenceText(s.Fence))
				if s.Run != "" {
					p.text("  run    ", s.Run+", which it goes with")
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
		return "none: its packets may leave the machine"
	case provision.FenceUnknown:
		return "unknown: seeing the rules needs root"
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
		Use: "delete", Short: "Delete a kind cluster, with its network and its fence", Args: exactly(0, "no arguments"),
		Long: `Delete takes a cluster away. One that is not there is deleted already. With
--all those are taken away that stay; those of runs go with their runs. A cluster that a
run uses is left alone.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if all && c.Flags().Changed("name") {
				return usage(errors.New("--name and --all: give one of them"))
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
					fmt.Fprintln(c.OutOrStdout(), name, "is gone")
				}
				errs = append(errs, err)
			}
			return failed(c.Context(), errors.Join(errs...))
		},
	}
	nameFlag(c, &name)
	c.Flags().BoolVar(&all, "all", false, "delete all clusters that stay")
	return c
}

// deleteCluster deletes a cluster that no run uses.
func deleteCluster(ctx context.Context, name string) error {
	claim, err := provision.Claim(name)
	if err != nil {
		return err
	}
	s, _, err := provision.Find(ctx, name)
	switch {
	case err != nil:
	case s.InUse():
		err = fmt.Errorf("cluster %s is that of run %s, which has not ended", name, s.Run)
	default:
		err = provision.Delete(ctx, name)
	}
	return errors.Join(err, claim.Close())
}

// neededImage is an image in the list.
type neededImage struct {
	Image string `json:"image"`
	// For is nodes, for the nodes' own image, or the name of what needs it.
	For string `json:"for"`
}

func newClusterImages() *cobra.Command {
	var s provision.Spec
	var asJSON bool
	c := &cobra.Command{
		Use: "images", Short: "Print every image that a configuration needs", Args: exactly(0, "no arguments"),
		Long: `Images prints the nodes' image, and what is needed beside it, one a line. Where
there is no registry, save them elsewhere (docker save) and give the folder of the
archives to relapse cluster create --images. No registry has what relapse makes:
relapse.dev/node, where make node-image has made it, and the agent's own image, which
is not in the list.`,
		Example: `  relapse cluster images --cni kindnet
  relapse cluster images --node-image kindest/node:v1.33.0 | xargs -n 1 docker pull`,
		RunE: func(c *cobra.Command, _ []string) error {
			images, err := provision.Images(s)
			if err != nil {
				return usage(err)
			}
			list := []neededImage{{provision.NodeImage(c.Context(), s), "nodes"}}
			for _, image := range images {
				list = append(list, neededImage{image, s.CNI})
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), list)
			}
			for _, image := range list {
				fmt.Fprintln(c.OutOrStdout(), image.Image)
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
		Use: "load ARCHIVE...", Short: "Load image archives into every node of a kind cluster",
		Long:    `Load takes archives of docker save, or OCI layouts in a tar file.`,
		Example: "  relapse cluster load --name dev ./calico.tar",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s wants image archives; see %[1]s --help", c.CommandPath())
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
