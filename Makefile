# One cache serves everything but the race detector: the same flags everywhere.
export CGO_ENABLED ?= 0
export GOFLAGS := -trimpath -buildvcs=false $(GOFLAGS)

SHELL := bash
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# Modules besides the root one. A new folder with a go.mod belongs here.
MODULES := cmd/otelcol-spanbucket internal/browsertest $(patsubst %/go.mod,%,$(wildcard bench/go.mod))
GO_FILES = $(shell find . -name '*.go' -not -path './.tmp/*' -not -path '*/_build/*')

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/otelcol-spanbucket and bin/spanbucket
	@tools/progress.sh "bin/otelcol-spanbucket" go -C cmd/otelcol-spanbucket build -v -ldflags '-s -w' -o ../../bin/otelcol-spanbucket .
	@tools/progress.sh "bin/spanbucket" go build -v -ldflags '-s -w' -o bin/spanbucket ./cmd/spanbucket

.PHONY: demo
demo: build ## put a fake model under load for half a minute, with faults in the middle, and show what the file says
	@tools/demo.sh

.PHONY: test
test: ## run all tests of all modules
	@tools/need.sh sqlite3 sqlite3
	@tools/need.sh chromium chromium
	@tools/progress.sh "the exporter's packages" go build -v ./...
	go test -timeout 30m ./...
	@for module in $(MODULES); do \
	  tools/progress.sh "the packages of $$module" go -C $$module build -v -o /dev/null ./... || exit; \
	  echo "go -C $$module test ./..."; go -C $$module test -timeout 30m ./... || exit; done

# The race detector makes SQLite in Go twenty times slower, and has nothing to find
# where one goroutine does everything: it runs the tests whose names say that
# there are several, but for those that take long.
SEVERAL := Delivery|Deliver|DoesNotDependOnTheWay|Lifecycle|Second|Timeout|Status|Letter|Isolation|Poison|Unknown|Telemetry|Component|Concurren
SLOW := TestOfTwoDeliveriesTheFirstCounts|TestRedeliver|TestImportOfMany|OfThePages|TestStory|TestGolden
SEVERAL_STORAGE := Stress|Caller|Group|Commit|Close|Letter|Attempt|DeliveriesInOne|Beside

.PHONY: race
race: ## run the tests with several goroutines under the race detector
	@tools/need.sh gcc gcc libc6-dev
	CGO_ENABLED=1 go test -race -timeout 20m -run '$(SEVERAL)' -skip '$(SLOW)' .
	CGO_ENABLED=1 go test -race -timeout 20m -run '$(SEVERAL_STORAGE)' ./storage
	CGO_ENABLED=1 go test -race ./internal/traffic/...
	CGO_ENABLED=1 go test -race -run 'Viewers|Arrive|Comes|SlowClients' ./live
	CGO_ENABLED=1 go test -race -run 'AtOnce|Diagnosis' ./mcpserver
	CGO_ENABLED=1 go test -race -skip 'TheFileSays|Percentiles|Presets|Latency|CountsFrom' ./stress/... ./fakellm

# Both run in their folder, so that go test shows the figures of tests that pass.
.PHONY: torture
torture: ## run the long tiers of the fault tests (an hour and a half); prints what they measured
	SPANBUCKET_TIER=long go -C internal/reliabilitytest test -count=1 -timeout 6h -skip '^TestSoak$$'

.PHONY: soak
soak: ## run a collector for 20 minutes, with a fault every minute; prints what came of it
	SPANBUCKET_SOAK=$${SPANBUCKET_SOAK:-20m} go -C internal/reliabilitytest test -count=1 -timeout 3h -run '^TestSoak$$'

.PHONY: vet
vet: ## go vet in every module
	@status=0; for module in . $(MODULES); do echo "go vet: $$module"; \
	  go -C $$module vet ./... || status=1; done; exit $$status

.PHONY: lint
lint: ## golangci-lint in every module
	@status=0; for module in . $(MODULES); do echo "golangci-lint: $$module"; \
	  (cd $$module && go run $(GOLANGCI_LINT) run --config "$(CURDIR)/.golangci.yml" ./...) || status=1; done; exit $$status

.PHONY: fmt-check
fmt-check: ## name the Go files that gofmt would change
	@files=$$(gofmt -l $(GO_FILES)) && [ -z "$$files" ] || { echo "run gofmt -w on:"; echo "$$files"; exit 1; } >&2

.PHONY: generate
generate: ## write what metadata.yaml and builder-config.yaml say
	tools/generate.sh

.PHONY: generate-check
generate-check: ## fail when a generated file is out of date
	tools/generate.sh --check

.PHONY: bench
bench: ## measure against peers; prints a table and writes it to bench/results/
	$(MAKE) -C bench

.PHONY: clean
clean: ## remove what the targets above left behind
	rm -rf bin .tmp cmd/otelcol-spanbucket/_build
