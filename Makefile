# make without a target lists the targets.
.DEFAULT_GOAL := help
ifndef side_by_side
.NOTPARALLEL:
endif
.PHONY: help deps build flannel node-image test test-go test-components test-slow test-host test-scenarios test-kind test-deploy scenario suite nightly leg leg-results where own collect store-fetch store-push issue relapse lint lint-code lint-workflows vuln fmt bench generate clean

# Where Go is usually installed, and where Debian has programs that are not on an ordinary user's PATH, such as nft.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin
# Where tests find the lab's programs.
export RELAPSE_BIN := $(CURDIR)/bin

GO         ?= go
CLUSTER    ?= lab
PROXY      ?= nftables
CNI        ?=
# The scenarios that test-kind runs, the modes of kube-proxy, and the scenarios on flannel.
KIND_PROXIES   ?= nftables iptables
KIND_SCENARIOS ?= --all
FLANNEL_SCENARIOS ?= dns-5s
KUBERNETES ?= 1.36
# The race detector, which is slow: make test RACE= turns it off. It covers the test processes, not the programs in bin/.
RACE       ?= -race
# Only for a release: make build VERSION=v1.2.3
VERSION    ?=
module     := github.com/relapse-k8s/relapse
components := clusters/lab/components
stamp      := $(if $(VERSION),-ldflags "-X $(module)/harness/version.version=$(VERSION)")

component_programs := bin/relapse-kube-proxy bin/relapse-coredns
component_files    := $(components)/go.mod $(components)/go.sum $(shell find $(components) -name '*.go' ! -name '*_test.go')
scenario_files     := $(sort $(wildcard scenarios/*.yaml))

help: ## list the targets
	@awk 'BEGIN {FS = ":[^#]*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'make always exits with 2 on failure; the exit codes of bin/relapse say what failed (README.md).'

deps: ## install what is needed to build and run (as root, with apt-get), or list what is missing
	@GO="$(GO)" .tools/deps

relapse:
	@$(GO) build -trimpath $(stamp) -o bin/relapse ./cmd/relapse

build: relapse ## build the programs into bin/
	@CGO_ENABLED=1 $(GO) build -trimpath -tags netcgo -o bin/relapse-agent ./cmd/relapse-agent
	@$(MAKE) --no-print-directory --silent $(component_programs)

# Their module is large: the go command needs seconds just to find that nothing has changed.
$(component_programs): bin/%: $(component_files)
	@echo 'building $* (the first time takes minutes)'
	@CGO_ENABLED=0 $(GO) -C $(components) build -trimpath -ldflags "-s -w" -o $(CURDIR)/$@ ./cmd/$*
	@touch $@

flannel: bin/flannel/flanneld bin/flannel/flannel bin/flannel/bridge ## build flannel for --cni flannel, from Go modules

# One of flanneld's backends is written in C.
bin/flannel/flanneld: $(wildcard clusters/kind/cni/flannel/flanneld/go.*)
	@echo 'building flanneld (the first time takes minutes)'
	@CGO_ENABLED=1 $(GO) -C clusters/kind/cni/flannel/flanneld build -trimpath -ldflags "-s -w" -o $(CURDIR)/$@ github.com/flannel-io/flannel
	@touch $@

# Their module is the last one that had the CNI plugin flannel.
plugins := github.com/containernetworking/plugins/plugins
bin/flannel/flannel bin/flannel/bridge &: $(wildcard clusters/kind/cni/flannel/plugins/go.*)
	@mkdir -p bin/flannel
	@CGO_ENABLED=0 $(GO) -C clusters/kind/cni/flannel/plugins build -trimpath -ldflags "-s -w" -o $(CURDIR)/bin/flannel/ $(plugins)/meta/flannel $(plugins)/main/bridge
	@touch bin/flannel/flannel bin/flannel/bridge

node-image: ## build an image for kind's nodes from Go modules and Debian packages: [KUBERNETES=1.36] [OUT=FILE]
	@GO="$(GO)" clusters/kind/nodeimage/build $(KUBERNETES) $(abspath $(OUT))

scenario: ## run one scenario: NAME=dns-5s [CLUSTER=lab] [CNI=plain] [PROXY=nftables|iptables|none] [ARGS="--pause-at fault"]
ifeq ($(NAME),)
	@echo 'name a scenario: make scenario NAME=…' >&2
	@awk '$$1 == "id:" && !done[FILENAME]++ {id = $$2} $$1 == "title:" && !said[FILENAME]++ {sub(/^ *title: */, ""); printf "  %-24s %s\n", id, $$0}' $(scenario_files) >&2
	@exit 2
else
	@$(MAKE) --no-print-directory --silent deps build $(filter flannel,$(CNI))
	@bin/relapse run $(NAME) --cluster $(CLUSTER) $(addprefix --cni ,$(CNI)) --proxy $(PROXY) $(ARGS)
endif

suite: ## run all scenarios in parallel, with an overview of their reports: [CLUSTER=lab] [CNI=plain] [PROXY=…] [ARGS="--label dns"]
	@$(MAKE) --no-print-directory --silent deps build $(filter flannel,$(CNI))
	@bin/relapse run --all --cluster $(CLUSTER) $(addprefix --cni ,$(CNI)) --proxy $(PROXY) $(ARGS)

# The nightly workflow is made of these targets. Their settings are environment variables; .ci/leg, .ci/collect and .ci/store list them.

nightly: ## run all scenarios of the lab in both modes of kube-proxy, compare with earlier nights, and build a site: [SCENARIO=dns-5s]
	@.ci/nightly

leg: ## run one leg of the nightly matrix: [SCENARIO=dns-5s] [SHARD=1/2] [CLUSTER=kind CNI=calico KUBERNETES=1.36] [PROXY=iptables]
	@.ci/leg

leg-results:
	@.ci/leg results

where: # for .github/actions/scenario
	@echo relapse=$(CURDIR)
	@echo node-image=$$(find clusters/kind/nodeimage -type f | sort | xargs cat | sha256sum | cut -c1-16)

own: # gives what root made in runs/ back to the user who called sudo
	@[ ! -d runs ] || [ -z "$$SUDO_UID" ] || chown -R "$$SUDO_UID:$$SUDO_GID" runs

collect: relapse
	@.ci/collect

store-fetch store-push: store-%:
	@.ci/store $*

issue:
	@.ci/issue

test: deps build ## run all tests, and every scenario of the lab on the real kernel
	@# Compiled first, so that no test runs beside the compiler. What test-slow starts mostly waits. The scenarios measure times, and need
	@# the machine for themselves.
	@$(GO) build -trimpath $(RACE) ./...
	@! command -v npm >/dev/null || $(MAKE) --no-print-directory --silent bin/tools/axe.min.js || echo "without axe-core, tests do not check the accessibility of pages"
	@$(MAKE) --no-print-directory -j3 side_by_side=yes test-go test-components test-slow
	@$(MAKE) --no-print-directory test-host test-scenarios

# -trimpath makes a clone use what another has compiled, and the tests without the race detector what make build has.
test := test -trimpath

# A program with the race detector sleeps for a second before it exits, and tests start hundreds of them.
test-go:
	GORACE="atexit_sleep_ms=10 $$GORACE" $(GO) $(test) $(RACE) -short -timeout 30m $$($(GO) list ./... | grep -v '/scenarios$$')

test-components:
	CGO_ENABLED=0 $(GO) -C $(components) $(test) -timeout 15m ./...

test-slow: # what -short leaves out
	$(GO) $(test) -timeout 30m -count=1 -parallel 8 -run 'Lab|Kill|HostileContent' -skip KillHostChanges ./harness/run ./cmd/relapse/cli ./clusters/deploy

test-host: # changes a limit of the machine: a lab beside it would find that the machine is not as before
	$(GO) $(test) -timeout 10m -count=1 -run KillHostChanges ./harness/run

test-scenarios: # in their folder, so that what they print is seen at once
	$(GO) -C scenarios $(test) -timeout 45m -count=1

test-kind: deps build ## run the kind tests, and every scenario on kind; needs a running Docker: [KIND_SCENARIOS="dns-5s …"] [KIND_PROXIES="nftables iptables"]
	@docker version >/dev/null 2>&1 || { echo 'Docker is not running. Start it, or on Debian and Ubuntu start one for this command only:' >&2; echo '  sudo .ci/engine make test-kind' >&2; exit 1; }
	@$(MAKE) --no-print-directory node-image flannel
	@# One package after the other: their tests count the containers of one engine.
	RELAPSE_TEST_KIND=1 $(GO) $(test) -p 1 -timeout 30m -count=1 ./clusters/kind/...
	RELAPSE_TEST_KIND=1 $(GO) -C scenarios $(test) -timeout 30m -count=1 -run Kind
	@for proxy in $(KIND_PROXIES); do bin/relapse run $(KIND_SCENARIOS) --cluster kind --proxy $$proxy --out $${RELAPSE_RUNS:-runs} || exit 1; done
	bin/relapse run $(FLANNEL_SCENARIOS) --cluster kind --cni flannel --out $${RELAPSE_RUNS:-runs}

test-deploy: build ## run a Job whose two pods share a suite on a kind cluster, and merge the results; needs root and a running Docker: [ARGS="--label race"]
	@.ci/deploy

lint: lint-code lint-workflows vuln ## run golangci-lint, actionlint, zizmor and govulncheck

lint-code: bin/tools/golangci-lint
	bin/tools/golangci-lint run
	cd $(components) && $(CURDIR)/bin/tools/golangci-lint run --config $(CURDIR)/.golangci.yml

lint-workflows: bin/tools/actionlint
	bin/tools/actionlint
	@.tools/zizmor

vuln: bin/tools/govulncheck
	.tools/vuln . $(components)

bin/tools/golangci-lint bin/tools/govulncheck &: .tools/go.mod .tools/go.sum
	@echo 'building the tools of .tools/go.mod'
	@$(GO) -C .tools build -o $(CURDIR)/bin/tools/ tool
	@touch bin/tools/*

bin/tools/actionlint: .tools/workflows/go.mod .tools/workflows/go.sum
	@$(GO) -C .tools/workflows build -trimpath -o $(CURDIR)/bin/tools/ tool
	@touch $@

bin/tools/axe.min.js: .tools/npm/package.json .tools/npm/package-lock.json
	@echo 'getting axe-core, which tests of pages use'
	@mkdir -p bin/tools/npm && cp .tools/npm/*.json bin/tools/npm/
	@npm ci --prefix bin/tools/npm --ignore-scripts --no-audit --no-fund --silent
	@cp bin/tools/npm/node_modules/axe-core/axe.min.js $@ && touch $@

fmt: bin/tools/golangci-lint ## format the Go code
	bin/tools/golangci-lint fmt
	cd $(components) && $(CURDIR)/bin/tools/golangci-lint fmt --config $(CURDIR)/.golangci.yml

bench: build ## run benchmarks: a lab against bare processes, packets with and without a hold, stores of results, and their pages
	$(GO) test -run '^$$' -bench . -benchtime 5x ./clusters/lab
	$(GO) test -run '^$$' -bench . ./clusters/netfilter/hold
	$(GO) test -run '^$$' -bench . -benchtime 1x ./harness/compare ./reports/website

generate: ## generate the JSON schema of scenarios, and the list of them
	$(GO) generate ./harness/schema

clean: ## undo what runs left on this machine, and remove bin/ (runs/ is kept)
	@if [ -x bin/relapse ]; then bin/relapse clean; fi
	rm -rf bin
