// Command relapse makes known Kubernetes network failures come back, and checks what is written about them.
package main

import (
	"os"

	"github.com/relapse-k8s/relapse/cmd/relapse/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
