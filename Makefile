# Weir: what there is to do here. "make help" lists it.
#
# Nothing has to be installed but Go, and a C compiler for "make race": tools run
# at the versions pinned here, with "go run".

GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEADCODE    := golang.org/x/tools/cmd/deadcode@v0.52.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0

# What to work on, as in "make test PKGS=./internal/ban/...".
PKGS ?= ./...

# Seconds for each fuzz target.
FUZZTIME ?= 5

# How long the tests of a package may take. What they take depends on the machine,
# and go's own ten minutes are not far from that on one that is slow or busy.
TESTTIME ?= 40m

# A Go vulnerability database: a directory with index/ in it.
VULNDB  ?=
VULNTGZ := ../shared/vulndb.tgz

# Everything is compiled as the image is (-trimpath, no cgo), and so only once:
# with other flags, the image's build stage would compile SQLite and the AWS SDK
# again. The race detector alone needs cgo, and its own copies anyway.
export GOFLAGS := $(filter-out -trimpath,$(GOFLAGS)) -trimpath
export CGO_ENABLED := 0

# The build stamps the revision into the binary where git can tell it.
NOVCS := $(shell git rev-parse --quiet --verify HEAD >/dev/null 2>&1 || echo -buildvcs=false)

.PHONY: help build demo test check fmt format fix vet lint deadcode race fuzz vuln image-check bench waf-sim chaos scale microbench docs clean

help: ## list this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/weir
	go build $(NOVCS) -o bin/weir ./cmd/weir

demo: build ## see it ban: stand-ins for AWS, made traffic, the real service (ARGS="-once -for 60s")
	bin/weir demo $(ARGS)

test: ## every test, and the parser's in the SIMD build; prints what was skipped
	@{ go test -timeout $(TESTTIME) -v $(PKGS) 2>&1; echo "status $$?"; } | awk -f .ci/tests.awk
	$(SIMD) go test ./internal/cloudfront

# One after the other, soonest to know first: each has work for all cores.
check: format fix vet lint deadcode test race chaos fuzz vuln image-check ## what CI runs: all of format to image-check
.NOTPARALLEL:

format: ## fail where "make fmt" would change something
	@unformatted=$$(go run $(GOFUMPT) -l .) && if [ -n "$$unformatted" ]; then \
		echo "not formatted, run \"make fmt\":"; echo "$$unformatted"; exit 1; fi

fix: ## fail where "go fix" knows a newer way
	go fix -diff $(PKGS)

# What is compiled with vector instructions alone is looked at once more. Nothing
# else is: the experiment has a copy of everything compiled for itself.
SIMD := GOEXPERIMENT=simd

vet: ## go vet, and of the SIMD build
	go vet $(PKGS)
	$(SIMD) go vet ./internal/cloudfront
	$(SIMD) go vet bench/hotpath/splitter_simd.go

# staticcheck alone: golangci-lint takes three minutes to compile, a sixth of
# what CI has, and most of what it adds here are matters of taste.
lint: ## staticcheck
	go run $(STATICCHECK) $(PKGS)

deadcode: ## fail where a function is reached by no command and no test
	@dead=$$(go run $(DEADCODE) -test $(PKGS)) && if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi

race: ## every test with the race detector
	CGO_ENABLED=1 go test -timeout $(TESTTIME) -race $(PKGS)

fuzz: ## every fuzz target for FUZZTIME seconds
	.ci/fuzz $(FUZZTIME)

vuln: ## known vulnerabilities in what is used (VULNDB=dir)
	@db="$(abspath $(VULNDB))"; \
	if [ -z "$$db" ] && [ -f $(VULNTGZ) ]; then \
		tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
		tar -xzf $(VULNTGZ) -C "$$tmp" && db=$$tmp/v1; \
	fi; \
	if [ -z "$$db" ]; then echo "SKIPPED: govulncheck: neither VULNDB nor $(VULNTGZ) is there"; exit 0; fi; \
	go run $(GOVULNCHECK) -db "file://$$db" $(PKGS)

image-check: ## run the image's build stage without a container
	WEIR_TEST_IMAGE=1 go test -run '^TestImage' -count 1 -v .

# The same for the labelled log, where it is there. A processor that has AVX2 is a v3,
# and a program for it finds the lowest bit in one instruction.
LABELLED := ../shared/labelled

bench: ## what a record costs, held against the bars (ARGS="-rounds 3 -clients 0"): a quarter of an hour
	go run ./bench/hotpath $(ARGS)
	$(SIMD) GOAMD64=v3 go run ./bench/hotpath $(ARGS) -clients 0
	@if [ ! -f $(LABELLED)/realtime.tsv.gz ]; then echo "NOT MEASURED: the labelled log: there is no $(LABELLED)"; exit 0; fi; set -ex; \
	go run ./bench/hotpath $(ARGS) -clients 0 -log $(LABELLED)/realtime.tsv.gz -fields @$(LABELLED)/fields.txt; \
	$(SIMD) GOAMD64=v3 go run ./bench/hotpath $(ARGS) -clients 0 -log $(LABELLED)/realtime.tsv.gz -fields @$(LABELLED)/fields.txt
	go run ./bench/decode

waf-sim: ## the WAF writer on virtual time, held against the bars, one line of JSON a case (ARGS="-case burst"): three minutes
	@go test -c -o bin/wafsim ./bench/wafsim
	@bin/wafsim -full $(ARGS)

# How many kills, and what draws them: another seed each time unless one is given.
KILLS ?= 50
SEED  ?=

chaos: ## kill -9 at random and chosen moments, and orderly stops, and audit what became of the bans (KILLS=500 SEED=7): three minutes
	go run ./bench/chaos -kills $(KILLS) $(if $(SEED),-seed $(SEED))

scale: ## what a record costs over more shards, clients and tasks (ARGS="-quick", or "-case shard"): a quarter of an hour, and 8 GB of memory
	go run ./bench/scale $(ARGS)

microbench: ## what its parts cost
	go test -run '^$$' -bench . $(PKGS)

fmt: ## format
	go run $(GOFUMPT) -l -w .

docs: ## write the tables of settings and scenarios into README.md
	go test -run TestReadme ./internal/config ./cmd/weir -update

clean: ## remove what was built
	rm -rf bin
