package cli_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/relapse-k8s/relapse/harness/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"relapse": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command as a person would; nothing in them needs a lab.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(env *testscript.Env) error {
			recorded, err := os.Getwd()
			env.Setenv("RECORDED", recorded+"/testdata/run")
			return err
		},
	})
}
