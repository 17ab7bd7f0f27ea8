package cli

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

func TestTry(t *testing.T) {
	os.Setenv("RELAPSE_BIN", "/work/main/bin")
	id := os.Getenv("SC")
	path := "/work/main/scenarios/" + id + ".yaml"
	if p := os.Getenv("SP"); p != "" {
		path = p
	}
	data, _ := os.ReadFile(path)
	s, err := scenario.Load(path, catalogue.All())
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	dir, err := run.Run(context.Background(), run.Options{Scenario: s, Source: data, Provider: l, Agent: "/work/main/bin/relapse-agent", Proxy: "nftables", Timeout: 3 * time.Minute, Out: "/tmp/runs", AllowHostChanges: os.Getenv("HOSTCH") != "",
		Watch: func(e history.Event) {
			if e.Kind != history.KindSample && e.Kind != history.KindReading {
				fmt.Printf("%6.2f %-30s %-20s %s %v %v %v %v %s\n", e.T, e.Lane, e.Phase, e.Kind, deref(e.Change), deref(e.Wait), deref(e.Fingerprint), deref(e.Log), e.Text)
			}
		}})
	fmt.Println(dir, err, time.Since(start))
	events, err := history.Read(dir + "/history.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var r rundir.Run
	if err := rundir.ReadJSON(dir, rundir.RunFile, &r); err != nil {
		t.Fatal(err)
	}
	v := judge.Judge(s, r, events)
	rundir.WriteJSON(dir, rundir.VerdictFile, v)
	fmt.Println(v.Outcome, v.Reason)
	for _, va := range v.Variants {
		fmt.Println(va.Name, va.Outcome, va.Reason, va.Reproduction)
		for _, p := range va.Phases {
			fmt.Println("  ", p.Name, p.Outcome, p.Probes, p.Detectors)
			for _, c := range p.Checks {
				if !c.OK {
					fmt.Println("      NOT OK", c)
				}
			}
		}
	}
	for _, c := range v.Claims {
		fmt.Println("claim", c.ID, c.Expected, c.Result, c.Seen)
	}
	fmt.Println(v.Restored)
	_ = reports.Data{}
}

func deref[T any](p *T) any {
	if p == nil {
		return ""
	}
	return *p
}
