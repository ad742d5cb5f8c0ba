# Two commands matter: `make up` and `make test`. Each sets up what it needs.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev up down status test check bench soak docs lock clean
BIN := .venv/bin

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## Everything that `make up` needs (idempotent)
	@scripts/setup

setup-dev: ## And what tests and checks need
	@scripts/setup --dev

up: setup ## Bring the whole local platform up, for real, and say what to try next
	@$(BIN)/mlscale up local

down: ## Take it down; protected stores are kept
	@$(BIN)/mlscale down local

status: ## What runs
	@$(BIN)/mlscale status local

test: setup-dev ## Every test but the soaks
	@scripts/test

check: setup-dev ## ruff, mypy strict, pyright on leaf modules, import-linter, duplicates
	@scripts/check

bench: setup-dev ## Measure, as ratios in one run (docs/benchmarks.md)
	@scripts/bench

soak: setup-dev ## Hundreds of seeded trials, resumable (docs/soak.md)
	@scripts/soak

docs: setup-dev ## Regenerate what is printed by code
	@scripts/docs

lock: ## Resolve the locks anew
	@scripts/lock

clean: ## Remove the environment and caches of this checkout (tools in the cache stay)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
