# teamogy-ksef: `make` lists what there is to make.
.DEFAULT_GOAL := help
SHELL := /bin/sh

ONCE ?=
INVOICES ?=
DEMO_TIMEOUT ?=
FUZZTIME ?= 10s
SEED ?=
RECORD_AS ?=
BENCH ?= .
INVOICES_EACH_WAY ?= 1000

# Official contracts and samples of KSeF, which tests read where they are present.
KSEF_REFERENCE ?= ../shared/ksef
export KSEF_REFERENCE := $(abspath $(KSEF_REFERENCE))

# Everything is pure Go, tests too. For the race detector: CGO_ENABLED=1 go test -race ./...
export CGO_ENABLED ?= 0

# The Temporal CLI: TEMPORAL_CLI, then PATH, then bin/temporal, which is built when there is no other.
ifeq ($(strip $(TEMPORAL_CLI)),)
TEMPORAL_CLI := $(shell command -v temporal 2>/dev/null)
endif
ifeq ($(strip $(TEMPORAL_CLI)),)
TEMPORAL_CLI := $(CURDIR)/bin/temporal
cli := bin/temporal
endif
export TEMPORAL_CLI

build := tools/build.sh
golangci_lint := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
versitygw := github.com/versity/versitygw/cmd/versitygw
workflowcheck := go.temporal.io/sdk/contrib/tools/workflowcheck

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'make demo ONCE=1                        ends by itself, exit 0 if every invoice arrived'
	@echo 'make demo ONCE=1 INVOICES=directory     with the FA(3) files of that directory'
	@echo 'make demo DEMO_TIMEOUT=10m              when ONCE=1 gives up'
	@echo 'make bench BENCH=Quota                  one group: Quota (50 min), Throughput (10), Growth (30),'
	@echo '                                        ExportMemory (2), TeamogyCalls (2), Many (3), others (5)'
	@echo 'make bench BENCH=Growth BENCH_LONG=1    with 100,000 invoices: some hours and 10 GB of memory'
	@echo 'make fuzz FUZZTIME=5m                   longer for each target'
	@echo 'make reliability SEED=7                 other moments; UPDATE_DOCS=1 writes the table'

.PHONY: demo
demo: binaries $(cli) ## the whole product on this machine: Temporal, simulators, worker, sample invoices
	@exec bin/starter demo $(if $(ONCE),--once) $(if $(INVOICES),--invoices '$(INVOICES)') $(if $(DEMO_TIMEOUT),--timeout '$(DEMO_TIMEOUT)')

.PHONY: test
test: $(cli) ## every test; those on a Temporal server start the dev server themselves
	@command -v xmlsec1 >/dev/null || echo 'xmlsec1 is not installed: the second opinion on signatures is skipped' >&2
	@command -v xmllint >/dev/null || echo 'xmllint is not installed: checks against the official schemas are skipped' >&2
	@[ -x bin/versitygw ] || command -v versitygw >/dev/null || [ -n "$$VERSITYGW" ] || echo 'versitygw is not there (make tools builds it): tests of the archive on an S3 server are skipped' >&2
	@[ -d '$(KSEF_REFERENCE)' ] || echo 'KSEF_REFERENCE ($(KSEF_REFERENCE)) is absent: tests on official contracts and samples are skipped' >&2
	go test -timeout 20m -parallel 6 ./...

.PHONY: reliability
reliability: $(cli) ## every fault of both simulators and of processes, counted (docs/reliability.md)
	RELIABILITY=ci $(if $(SEED),RELIABILITY_SEED='$(SEED)') go test -count=1 -timeout 40m -parallel 8 -run '^TestReliability' ./internal/integration

.PHONY: soak
soak: $(cli) ## the same with 100 invoices each way, three times
	RELIABILITY=soak $(if $(SEED),RELIABILITY_SEED='$(SEED)') go test -count=1 -timeout 12h -parallel 8 -v -run '^TestReliability$$' ./internal/integration

.PHONY: lint
lint: bin/golangci-lint bin/workflowcheck ## linters, formatting, architecture rules, determinism of workflows
	@failed=; \
	check() { echo "$$*"; "$$@" || failed=yes; }; \
	check bin/golangci-lint fmt --diff ./...; \
	check bin/golangci-lint run ./...; \
	check bin/workflowcheck -test=false ./workflows/...; \
	check go mod tidy -diff; \
	check go test -count=1 ./internal/architecture; \
	[ -z "$$failed" ]

.PHONY: run
run: binaries ## the worker on real settings (see .env.example)
	@exec bin/worker

.PHONY: simulators
simulators: bin/starter ## both simulators: KSeF on 127.0.0.1:8081/v2, Teamogy on 127.0.0.1:8082
	@exec bin/starter simulate

.PHONY: bench
bench: $(cli) ## benchmarks, one "name: value unit" line each (docs/performance.md)
	@echo 'This takes about an hour and three quarters on two cores; BENCH=name chooses, the whole output goes to bin/bench.txt.' >&2
	@tools/bench.sh '$(BENCH)'

.PHONY: volume
volume: $(cli) ## 1,000 invoices each way under production limits on a scaled clock, each exactly once
	VOLUME='$(INVOICES_EACH_WAY)' go test -count=1 -timeout 20m -v -run '^TestVolume' ./internal/integration

.PHONY: fuzz
fuzz: ## throw inputs at everything that reads what others wrote, FUZZTIME (10s) for each target
	@tools/fuzz.sh '$(FUZZTIME)'

.PHONY: histories
histories: $(cli) ## record histories of today's workflows for the replay tests, RECORD_AS=2026-11; none is overwritten
	@[ -n '$(RECORD_AS)' ] || { echo 'say which version of the workflows this is, for example: make histories RECORD_AS=2026-11' >&2; exit 1; }
	RECORD_AS='$(RECORD_AS)' go test -count=1 -tags record -run 'TestRecordHistories(_packages|_gathering)?$$' -v ./internal/integration
	RECORD_AS='$(RECORD_AS)' SUGGEST_CONTINUE_AS_NEW=20 go test -count=1 -tags record -run 'TestRecordHistories_continuedAsNew$$' -v ./internal/integration
	go test -count=1 -run 'Replay|Histories' ./workflows

.PHONY: fmt
fmt: bin/golangci-lint ## format every Go file
	bin/golangci-lint fmt ./...

.PHONY: tools
tools: bin/temporal bin/golangci-lint bin/workflowcheck bin/versitygw ## build the Temporal CLI, the linters and an S3 server for tests into bin/

.PHONY: clean
clean: ## remove what was built here (Go's own caches stay)
	rm -rf bin .ci/foreign/node_modules

# Go knows better than make what has changed, so the two programs are always asked for.
.PHONY: binaries
binaries: bin/starter bin/worker

.PHONY: always
always:

bin/starter: always
	@$(build) $@ . ./starter 'compiling the product and its libraries; the first time takes two minutes'

bin/worker: always
	@$(build) $@ . ./worker

bin/temporal: tools/temporal/go.mod tools/temporal/go.sum
	@echo 'Building the Temporal CLI from source. The first time this takes about five minutes on' >&2
	@echo 'two cores. An official release on PATH, or named by TEMPORAL_CLI, is used instead.' >&2
	@$(build) $@ tools/temporal github.com/temporalio/cli/cmd/temporal

bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@$(build) $@ tools/lint $(golangci_lint) 'the first build takes two to four minutes'

bin/workflowcheck: tools/lint/go.mod tools/lint/go.sum
	@$(build) $@ tools/lint $(workflowcheck)

bin/versitygw: tools/s3/go.mod tools/s3/go.sum
	@$(build) $@ tools/s3 $(versitygw) 'the first build takes about two minutes'
