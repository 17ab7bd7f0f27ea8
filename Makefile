# make alone says what there is to make.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps build node-image test test-go test-components test-scenarios test-kind scenario suite lint lint-code vuln fmt bench generate clean

# The usual place of an installed Go that is not on the PATH yet.
export PATH := $(PATH):/usr/local/go/bin
# Where tests find the lab's programs.
export RELAPSE_BIN := $(CURDIR)/bin

GO         ?= go
CLUSTER    ?= lab
PROXY      ?= nftables
# What test-kind runs, in which of kube-proxy's modes.
KIND_PROXIES   ?= nftables iptables
KIND_SCENARIOS ?= --all
KUBERNETES ?= 1.36
# Given for a release only: make build VERSION=v1.2.3
VERSION    ?=
module     := github.com/relapse-k8s/relapse
components := clusters/lab/components
stamp      := $(if $(VERSION),-ldflags "-X $(module)/harness/version.version=$(VERSION)")

component_programs := bin/relapse-kube-proxy bin/relapse-coredns
component_files    := $(components)/go.mod $(components)/go.sum $(shell find $(components) -name '*.go' ! -name '*_test.go')
scenario_files     := $(sort $(wildcard scenarios/*.yaml))

help: ## this list
	@awk 'BEGIN {FS = ":[^#]*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'make exits with 2 whenever something failed; bin/relapse has exit codes that say what (README.md).'

deps: ## install what is missing to build and run (as root, with apt-get), or say what is
	@GO="$(GO)" .tools/deps

build: ## the programs, into bin/
	@$(GO) build -trimpath $(stamp) -o bin/relapse ./cmd/relapse
	@CGO_ENABLED=1 $(GO) build -trimpath -tags netcgo -o bin/relapse-agent ./cmd/relapse-agent
	@$(MAKE) --no-print-directory --silent $(component_programs)

# Their own module is large: the go command alone takes seconds to find that nothing has changed.
$(component_programs): bin/%: $(component_files)
	@echo 'building $* (the first time takes minutes)'
	@CGO_ENABLED=0 $(GO) -C $(components) build -trimpath -ldflags "-s -w" -o $(CURDIR)/$@ ./cmd/$*
	@touch $@

node-image: ## an image for kind's nodes, of Go modules and Debian packages: [KUBERNETES=1.36] [OUT=FILE]
	@GO="$(GO)" clusters/kind/nodeimage/build $(KUBERNETES) $(abspath $(OUT))

scenario: ## run one scenario: NAME=dns-5s [CLUSTER=lab] [PROXY=nftables|iptables] [ARGS="--pause-at fault"]
ifeq ($(NAME),)
	@echo 'Which one? make scenario NAME=…' >&2
	@awk '$$1 == "id:" && !done[FILENAME]++ {id = $$2} $$1 == "title:" && !said[FILENAME]++ {sub(/^ *title: */, ""); printf "  %-24s %s\n", id, $$0}' $(scenario_files) >&2
	@exit 2
else
	@$(MAKE) --no-print-directory --silent deps build
	@bin/relapse run $(NAME) --cluster $(CLUSTER) --proxy $(PROXY) $(ARGS)
endif

suite: ## run all scenarios side by side, with one page over their reports: [PROXY=…] [ARGS="--label dns"]
	@$(MAKE) --no-print-directory --silent deps build
	@bin/relapse run --all --cluster $(CLUSTER) --proxy $(PROXY) $(ARGS)

test: deps build test-go test-components test-scenarios ## all tests, and every scenario of the lab for real

test-go: # without those that want the machine for themselves: they measure times, or kill runs
	$(GO) test -timeout 15m $$($(GO) list ./... | grep -Ev '/(scenarios|harness/run)$$')

test-components:
	$(GO) -C $(components) test -timeout 15m ./...

test-scenarios:
	$(GO) test -timeout 30m -count=1 ./harness/run
	$(GO) test -timeout 45m -count=1 -v ./scenarios

test-kind: deps build ## the same on kind clusters, beside a container engine that runs: [KIND_SCENARIOS="dns-5s …"] [KIND_PROXIES="nftables iptables"]
	@docker version >/dev/null 2>&1 || { echo 'No container engine answers. Start Docker, or on Debian and Ubuntu let one run for this alone:' >&2; echo '  sudo .ci/engine make test-kind' >&2; exit 1; }
	@$(MAKE) --no-print-directory node-image
	@# One package after the other: they look at what there is in one engine.
	RELAPSE_TEST_KIND=1 $(GO) test -p 1 -timeout 30m -count=1 ./clusters/kind/...
	@for proxy in $(KIND_PROXIES); do bin/relapse run $(KIND_SCENARIOS) --cluster kind --proxy $$proxy --out $${RELAPSE_RUNS:-runs} || exit 1; done

lint: lint-code vuln ## golangci-lint and govulncheck

lint-code: bin/tools/golangci-lint
	bin/tools/golangci-lint run
	cd $(components) && $(CURDIR)/bin/tools/golangci-lint run --config $(CURDIR)/.golangci.yml

vuln: bin/tools/govulncheck
	.tools/vuln . $(components)

bin/tools/golangci-lint bin/tools/govulncheck &: .tools/go.mod .tools/go.sum
	@echo 'building the tools of .tools/go.mod'
	@$(GO) -C .tools build -o $(CURDIR)/bin/tools/ tool
	@touch bin/tools/*

fmt: bin/tools/golangci-lint ## format the Go code
	bin/tools/golangci-lint fmt
	cd $(components) && $(CURDIR)/bin/tools/golangci-lint fmt --config $(CURDIR)/.golangci.yml

bench: build ## ratios: a lab beside bare processes, packets with a hold beside packets without
	$(GO) test -run '^$$' -bench . -benchtime 5x ./clusters/lab
	$(GO) test -run '^$$' -bench . ./faults/hold

generate: ## the scenarios' JSON schema, from the Go types
	$(GO) generate ./harness/schema

clean: ## undo what runs have left on this machine, and remove bin/ (runs/ stays)
	@if [ -x bin/relapse ]; then bin/relapse clean; fi
	rm -rf bin
