# Every target works on a fresh Debian with Go; `make test` installs the C
# compiler that the race detector needs, PostgreSQL, and the browser that the
# pages are looked at with, where it may.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
PKG     := github.com/prometheus/common/version
LDFLAGS := -s -w -X $(PKG).Version=$(VERSION) -X $(PKG).Revision=$(COMMIT) -X $(PKG).Branch=main

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.0
STATICCHECK   := honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@latest

.PHONY: help build demo test bench bench-decisions lint test-fuzz image-steps vuln clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## one static binary, ./postflight
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o postflight ./cmd/postflight

man: build ## the manual pages of this version, to bin/man
	./postflight man bin/man

site: ## docs/ as pages for a browser, to bin/site
	go run ./cmd/site

release: ## binaries, bills of materials, sums and provenance, to bin/release; built twice and compared [PLATFORMS='linux/amd64 ...'] [DIRTY=1 for a trial]
	bash .ci/release '$(VERSION)' bin/release

.PHONY: man site release
demo: build ## a good release kept and a bad one reverted, in two minutes [SCENARIO=slow|tickets|blind|outage|loop|brake|irreversible] [KEEP=1]
	cd cmd/demo && go build -o ../../bin/demo . && POSTFLIGHT_BINARY=$(CURDIR)/postflight ../../bin/demo -scenario '$(SCENARIO)' -keep '$(KEEP)'

# SQLite is C turned into Go, on memory of its own. Checking its pointers finds
# nothing and takes as long as the tests; it stays instrumented, for code that
# isn't hides what it orders from the detector.
RACE := -race -gcflags='modernc.org/...=-d=checkptr=0'

# Pages of docs/ that are played by a shell, with daemons beside it: the scripts
# go the same ways with the race detector.
PLAYED := TestCommandsInDocsRun|TestCLIPageCommandsRun|TestGatePage|TestGateInAPipelinesShell|TestTicketsPage|TestAction|TestGitLabJob|TestJenkinsfile|TestTektonTask|TestShellImage|TestCurlPage

test: test-tools ## every test, with the race detector what has goroutines to race, then the daemon end to end beside a real Prometheus
	go vet ./...
	cd cmd/demo && go vet ./...
	cd docs/deploy && go vet ./... && go test ./... # what postflight is installed with, by Compose's and Kustomize's own code
	TMPDIR=$$(.ci/tempdir) go test $(RACE) -timeout 15m -skip '$(PLAYED)' ./cmd/postflight # by itself: its scripts run daemons with windows of seconds
	TMPDIR=$$(.ci/tempdir) go test $(RACE) -timeout 20m $$(go list ./... | grep -v -E '/(cmd/postflight|cmd/postflight/internal/simulator|verifier/judge.*|internal/invariant|dashboards/board.*|alerting/shoutrrr)$$')
	TMPDIR=$$(.ci/tempdir) go test -timeout 15m -run 'ClockJumps|TestVerdictsAreOfWhatIsStored|TestABaseImageBreaksTen|TestOverrideAgainstTheCall|TestOverrideInABrowser|TestEverybodyIsTold|$(PLAYED)' ./cmd/postflight/internal/app ./cmd/postflight # too long with the race detector, as most of the next
	@# Pure functions with no goroutine to race, a browser that looks at every
	@# page, messages that a process of their own sends, and all scenarios.
	TMPDIR=$$(.ci/tempdir) go test -timeout 15m ./verifier/judge/... ./cmd/internal/invariant ./dashboards/board/... ./alerting/shoutrrr ./cmd/postflight/internal/simulator
	CGO_ENABLED=0 go build -trimpath -o bin/postflight-e2e ./cmd/postflight
	cd cmd/demo && TMPDIR=$$(../../.ci/tempdir) POSTFLIGHT_BINARY=$(CURDIR)/bin/postflight-e2e go test -p 1 -timeout 15m -skip 'TestKillsAtEveryStep|TestQuickScenarios' -v ./... # those two: make test-faults; one package at a time, for deploys are judged by steps of a second

STORIES := errors slow tickets blind outage loop brake irreversible
stories: build ## every story of the demo, one after the other: ten minutes, by hand or weekly (make test tells three of them)
	cd cmd/demo && go build -o ../../bin/demo .
	@for story in $(STORIES); do POSTFLIGHT_BINARY=$(CURDIR)/postflight bin/demo -scenario $$story; done

.PHONY: stories
simulate: ## the scenarios of docs/safety.md with all of their seeds, in virtual time, and their results into that page
	go test ./cmd/postflight/internal/simulator -full -update -v -timeout 60m | grep -v -e '=== ' -e '^ *--- PASS'

.PHONY: simulate
SOAK_STATE ?= bin/soak.jsonl
SOAK_BUILD  = $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
SOAK        = cd cmd/demo && TMPDIR=$$(../../.ci/tempdir) nice ../../bin/soak -binary $(CURDIR)/bin/postflight-faulty -build '$(SOAK_BUILD)' -keep $(CURDIR)/bin/soak-kept

bin/soak: test-tools
	@mkdir -p bin
	go build -trimpath -tags failpoints -o bin/postflight-faulty ./cmd/postflight
	cd cmd/demo && go build -o ../../bin/soak ./soak

# The version that make test-faults upgrades from: the newest release, or, until
# there is one, the oldest commit that runs the worlds of these tests.
PREVIOUS ?= $(shell git describe --tags --abbrev=0 HEAD^ 2>/dev/null || echo 20ec3b2)
bin/postflight-previous:
	@bash .ci/previous '$(PREVIOUS)' $@ || echo 'the rolling upgrade will fail for that' >&2

test-faults: bin/soak bin/postflight-previous fault-tools ## the fault matrix of docs/robustness.md and 360 kills: 45 minutes at most [FAULTS_STATE=file to go on from]
	$(SOAK) -kills 360 -seed 1 -state '$(FAULTS_STATE)' -scenarios . -skip '(hour|minutes) of load' -for 35m -previous $(CURDIR)/bin/postflight-previous
	TMPDIR=$$(.ci/tempdir) go test ./cmd/postflight/internal/simulator -run TestStoreFaults -full -timeout 15m
	go test -tags failpoints ./verifier/failpoint
	cd cmd/demo && TMPDIR=$$(../../.ci/tempdir) go test -timeout 15m -run 'TestKillsAtEveryStep|TestQuickScenarios' ./internal/crash

soak: bin/soak ## 3,000 kills over 18 steps and both stores, and an hour of load; goes on where it was stopped [SOAK_STATE=bin/soak.jsonl]
	$(SOAK) -kills 3000 -seed 1 -scenarios 'hour of load' -for 3h -state $(abspath $(SOAK_STATE))
	bin/soak -record docs/robustness.json $(SOAK_STATE)
	cd cmd/demo && go test ./internal/crash -run Robustness -update

.PHONY: bin/soak bin/postflight-previous test-faults soak
.PHONY: test-tools fault-tools
fault-tools: # what only the fault matrix needs: strace writes down what a power failure may take
	@bash .ci/tools strace

test-tools: # what the tests need besides Go; named here before anything else runs
	@bash .ci/tools gcc postgres curl chromium systemd-analyze

bench: build ## docs/performance.md: what postflight needs and how late it is; that page says how long it takes [ONLY=windows,queries,intake,probes,judge,start,cost] [CELLS=1000/1/sqlite,... of windows, or QUICK=1 to bin/bench-quick]
	@mkdir -p bin
	go build -o bin/bench ./cmd/bench # go run would end without it at SIGTERM
	bin/bench -only '$(ONLY)' -cells '$(CELLS)' $(if $(QUICK),-quick)

CHANGES ?= ../shared/data/changes
bench-decisions: ## the judge beside its peers on labelled changes and simulated deploys [CHANGES=folder] [OUT=docs/judging] [QUICK=1|FULL=1]
	go run ./cmd/bench-decisions $(if $(wildcard $(CHANGES)/index.csv),-data '$(CHANGES)') $(if $(OUT),-out '$(OUT)') \
	  $(if $(FULL),-full,$(if $(QUICK),-quick,-limit 15m))

lint: ## go vet, staticcheck and the linter set of .golangci.yml
	go vet ./...
	cd cmd/demo && go vet ./...
	cd docs/deploy && go vet ./... && go run $(STATICCHECK) ./...
	go run $(STATICCHECK) ./...
	go run $(GOLANGCI_LINT) run ./...

test-fuzz: ## thirty seconds on every decoder, about fifteen minutes on two cores [FUZZTIME=30s] [KEEP=n inputs found into testdata/fuzz]
	FUZZTIME='$(or $(FUZZTIME),30s)' KEEP='$(KEEP)' bash .ci/fuzz

vuln: ## known vulnerabilities in what is reachable; needs vuln.go.dev
	@go run $(GOVULNCHECK) ./... || { echo 'govulncheck found something, or could not reach its database (vuln.go.dev): run it where that can be reached'; exit 1; }

image-steps: ## the steps of the Dockerfile without Docker: build, then run the binary as nobody in an empty root
	bash .ci/image-steps

clean:
	rm -rf postflight bin
