# Two commands do all set-up on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

export CARGO_TERM_COLOR ?= auto

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the main job on real input (KEEP=1 leaves the server running)
	@scripts/demo

.PHONY: test
test: ## everything that proves it: lints, unit, property, fault and CLI tests
	@scripts/test

.PHONY: bench
bench: ## measure beside peers on the same data; writes docs/benchmarks.md
	@scripts/bench

.PHONY: fuzz
fuzz: ## the bounded fuzz tests of `make test`, for longer (MINUTES=10; GUIDED=1: by libFuzzer, with a nightly toolchain)
	@scripts/fuzz

.PHONY: soak
soak: ## faults on real processes and servers, round after round (MINUTES=60, SEED=… repeats a run)
	@scripts/soak

.PHONY: bless
bless: ## rewrite generated files and golden outputs after an intended change
	@TRESS_BLESS=1 INSTA_UPDATE=always cargo test --workspace --locked --quiet

.PHONY: fmt
fmt: ## format
	@cargo fmt --all
