# Two commands do all set-up on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

export CARGO_TERM_COLOR ?= auto
BUILDER ?= docker

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the main job on real input (KEEP=1 leaves the server running)
	@scripts/demo

.PHONY: demo-cluster
demo-cluster: ## Tress on a real Kubernetes: Helm, kubectl apply, events by Kafka, a sequence from a pod (Linux, root)
	@scripts/demo-cluster

.PHONY: test
test: ## everything that proves it: lints, unit, property, fault and CLI tests
	@scripts/test

.PHONY: test-cluster
test-cluster: ## the tests on a real Kubernetes, with Kafka, S3 and the chart (Linux, root; about 20 minutes)
	@e2e/check

.PHONY: bench
bench: ## measure beside peers on the same data; writes docs/benchmarks.md
	@scripts/bench

.PHONY: bench-operator
bench-operator: ## only the operator with 10,000 features and 10,000 signals on a real API server
	@scripts/bench --only objects

.PHONY: fuzz
fuzz: ## the bounded fuzz tests of `make test`, for longer (MINUTES=10; GUIDED=1: by libFuzzer, with a nightly toolchain)
	@scripts/fuzz

.PHONY: soak
soak: ## faults on real processes and servers, round after round (MINUTES=60, SEED=… repeats a run)
	@scripts/soak

.PHONY: cluster
cluster: ## a real Kubernetes on this machine with the images of Tress loaded (Linux, root); make cluster-down ends it
	@cargo build --workspace --locked --quiet
	@e2e/cluster up
	@e2e/cluster image "$${CARGO_TARGET_DIR:-target}/debug"

.PHONY: cluster-down
cluster-down: ## ends it; nothing is left
	@e2e/cluster down

.PHONY: image
image: ## the images of Dockerfile, release build (BUILDER=podman for another builder than docker)
	@scripts/need $(BUILDER)
	@for target in engine operator; do $(BUILDER) build --target $$target --tag tress-$$target .; done

PREFIX ?= $(HOME)/.local

.PHONY: install
install: ## `tress`, also as `kubectl tress`, into PREFIX/bin (release build; PREFIX=~/.local)
	@cargo build --release --locked --package tress
	@install -d "$(PREFIX)/bin"
	@install -m 755 "$${CARGO_TARGET_DIR:-target}/release/tress" "$(PREFIX)/bin/tress"
	@for name in kubectl-tress kubectl_complete-tress; do ln -sf tress "$(PREFIX)/bin/$$name"; done
	@echo "$(PREFIX)/bin/tress; kubectl finds kubectl-tress where PATH has that folder"

.PHONY: bless
bless: ## rewrite generated files and golden outputs after an intended change
	@TRESS_BLESS=1 INSTA_UPDATE=always cargo test --workspace --locked --quiet
	@scripts/chart bless

.PHONY: fmt
fmt: ## format
	@cargo fmt --all
