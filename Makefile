# What continuous integration runs is `make test`, and nothing else.
SHELL := /bin/bash -o pipefail

GO ?= go
BIN := bin
BINARIES := teleport tctl tsh
TOOL := $(GO) tool -modfile=tools/go.mod
BUF := $(GO) run -modfile=tools/go.mod github.com/bufbuild/buf/cmd/buf
FUZZTIME ?= 30s
export GOFLAGS := -trimpath
# Whoever runs this trusts the checkout, also where it belongs to somebody else, as in containers.
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)

.PHONY: build test lint fmt vet generate check-proto packages fuzz bench bench-aws fakeaws demo demo-stop demo-aws

build: ## static binaries in bin/
	@mkdir -p $(BIN)
	CGO_ENABLED=0 $(GO) build -o $(BIN)/ $(addprefix ./cmd/,$(BINARIES))

test: packages lint ## every check
	$(GO) test -race -shuffle=on -timeout 20m -v ./... | scripts/summary

packages: ## the Debian packages that tests need, installed when missing
	@scripts/packages

lint: fmt vet

fmt:
	@out=$$(git ls-files -z '*.go' | xargs -0 gofmt -l) || exit 1; if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi

# With -race both look at what the tests need compiled anyway, and without cgo at what is in the binaries.
vet: ## go vet and staticcheck, and that what runs on other systems compiles there
	$(GO) vet -race ./...
	GOFLAGS="$(GOFLAGS) -race" $$($(TOOL) -n staticcheck) ./...
	CGO_ENABLED=0 $(GO) run ./scripts/portable darwin/arm64 ./cmd/tsh ./cmd/tctl ./cmd/teleport
	CGO_ENABLED=0 $(GO) run ./scripts/portable windows/amd64 ./cmd/tsh ./cmd/tctl

generate: ## the API's code from its protocol files; make test checks that it is fresh
	$(GO) test ./proto -run Fresh -count=1 -update

check-proto: ## style of the protocol files; apart from make test, because the tool takes minutes to build
	$(BUF) lint

fuzz: ## every fuzz target for FUZZTIME
	@FUZZTIME=$(FUZZTIME) scripts/fuzz

bench: build packages ## the benchmark table
	$(GO) run ./bench
	$(GO) run ./bench -db=mysql
	$(GO) run ./bench -db=redis
	$(GO) run ./bench -db=mongodb

bench-aws: build packages fakeaws ## what AWS costs: the second table of docs/benchmarks.md
	$(GO) run ./bench/aws

fakeaws:
	CGO_ENABLED=0 $(GO) build -o $(BIN)/ ./cmd/fakeaws

demo: build packages ## a whole cluster with a database (DB=postgres, mysql, mongodb or redis), and a session in it
	@scripts/demo start

demo-stop:
	@scripts/demo stop

demo-aws: build packages fakeaws ## the guide to Aurora, with a local AWS in a network of its own; ends by itself
	@scripts/demo-aws
