package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/deploy"
	"github.com/relapse-k8s/relapse/clusters/local"
)

func newDeploy() *cobra.Command {
	c := &cobra.Command{
		Use: "deploy", Short: "Run a suite on a Kubernetes cluster, divided among pods",
		Long: `Deploy makes what a cluster needs to run relapse in its pods: an image, and a Job
whose pods share a suite. Each pod has a lab of its own. It uses no other pod, no
Service and no network of the cluster.`,
		Example: `  relapse deploy image relapse.tar
  relapse deploy job --image relapse.dev/relapse:sha-… --shards 8 | kubectl apply -f -
  kubectl -n relapse wait job/relapse --for=jsonpath='{.status.active}'=0 --timeout=1h
  kubectl -n relapse exec results -- tar -c -C /results . | tar -x -C runs
  relapse history merge results runs/*/results`,
	}
	c.AddCommand(newDeployImage(), newDeployJob())
	return c
}

func newDeployImage() *cobra.Command {
	return &cobra.Command{
		Use: "image FILE", Short: "Write an image of relapse to an archive",
		Long: `Image writes an archive for docker load, ctr images import or relapse cluster load,
and prints the image's reference. The image is made of the programs of make build
and of this machine's network tools, without a build engine and a registry.

Exit codes: 0 on success, 3 if it could not be written, 4 if a program is missing.`,
		Args: exactly(1, "the path of the archive"),
		RunE: func(c *cobra.Command, args []string) error {
			bin, err := local.FindPrograms("relapse deploy image", "relapse", "relapse-agent", "relapse-coredns", "relapse-kube-proxy")
			if err != nil {
				return coded{exitSkipped, err}
			}
			image, err := deploy.Image(c.Context(), bin)
			if err != nil {
				return coded{exitSkipped, err}
			}
			if err := image.Save(args[0]); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), image.Ref())
			return nil
		},
	}
}

func newDeployJob() *cobra.Command {
	var o deploy.Options
	c := &cobra.Command{
		Use: "job --image IMAGE [-- ARGUMENT...]", Short: "Print the manifests of a Job that runs a suite",
		Long: `Job prints a namespace, a Job with one pod for each shard, a volume for the results,
and a pod from which they can be fetched. Arguments after -- are those of relapse run;
by default --all.

The comments of the manifests say what each right of the pods is for.`,
		Example: `  relapse deploy job --image relapse.dev/relapse:sha-… --shards 8 | kubectl apply -f -
  relapse deploy job --image registry.example/relapse --shards 2 -- --label dns`,
		RunE: func(c *cobra.Command, args []string) error {
			if o.Image == "" {
				return usage(errors.New("--image is missing: relapse deploy image prints it"))
			}
			if o.Args = args; len(args) == 0 {
				o.Args = []string{"--all"}
			}
			text, err := deploy.Manifests(o)
			if err != nil {
				return usage(err)
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.Image, "image", "", "reference of the `image` on the nodes: what relapse\ndeploy image prints, or its name in a registry")
	flags.IntVar(&o.Shards, "shards", 2, "how many pods share the suite")
	flags.StringVar(&o.Namespace, "namespace", "relapse", "`namespace`, which is made")
	flags.StringVar(&o.StorageClass, "storage-class", "", "`class` of the volume (default: the cluster's)")
	flags.StringVar(&o.AccessMode, "access-mode", "ReadWriteMany", "access `mode` of the volume; ReadWriteOnce if all pods are\non one node")
	flags.StringVar(&o.Storage, "storage", "5Gi", "`size` of the volume")
	flags.DurationVar(&o.Deadline, "deadline", time.Hour, "when pods that still run are ended")
	return c
}
