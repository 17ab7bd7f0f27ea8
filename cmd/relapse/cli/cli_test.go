package cli_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/relapse-k8s/relapse/cmd/relapse/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"relapse": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command as a person would; nothing in them needs a lab.
func TestScripts(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// rc N COMMAND... requires this exit code.
			"rc": exitsWith,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("RECORDED", filepath.Join(here, "testdata/run"))
			e.Setenv("RELAPSE_BIN", e.Getenv("WORK"))                                       // a folder without programs, so that nothing can run by mistake
			e.Setenv("DOCKER_HOST", "unix://"+filepath.Join(e.Getenv("WORK"), "none.sock")) // the tests must not use this machine's engine
			e.Setenv("RELAPSE_STATE_DIR", filepath.Join(e.Getenv("WORK"), "state"))
			return errors.Join(
				os.CopyFS(filepath.Join(e.WorkDir, "RUN"), os.DirFS("testdata/run")),
				// Two runs of tcp-invalid-rst-service, and a copy of the first.
				os.CopyFS(filepath.Join(e.WorkDir, "AGREE"), os.DirFS("testdata/agree")),
				os.CopyFS(filepath.Join(e.WorkDir, "SAME"), os.DirFS("testdata/agree/nftables")),
			)
		},
		// For an ordinary user the command would enter a user namespace.
		Condition: func(name string) (bool, error) { return os.Geteuid() == 0, unknownCondition(name) },
	})
}
