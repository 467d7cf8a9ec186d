# `make` lists the commands; `make demo` and `make test` need nothing before them.

PYTHON ?= python3
FUZZ_SECONDS ?= 20
PYTEST_ARGS ?=
# One build folder for cargo, maturin and the fuzzer's engine.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export PYTHON

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
BENCHES := conceal_pesq consumers hop import_time gaps load mouth_to_ear opus_pesq redundancy_pesq thousand
ENGINE := Cargo.toml Cargo.lock pyproject.toml $(shell find src -name '*.rs')
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-python lint format bench fuzz docs clean curves system-build system-test system-bench

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: system-test $(STAMPS)/tools $(STAMPS)/engine-dev ## install what is missing, make .venv, build

demo: system-build $(STAMPS)/engine-release ## hear it: client and server over loopback, 10 s, then the figures
	@$(BIN)/audiostream demo

test: test-rust test-python ## run all tests

test-rust: system-build ## run the engine's own tests
	@cargo test --quiet --no-default-features --features opus

test-python: setup ## run the tests of the Python package
	@$(BIN)/python -m pytest --quiet --numprocesses auto --dist worksteal -m 'not quiet' $(PYTEST_ARGS)
	@$(BIN)/python -m pytest --quiet -m quiet $(PYTEST_ARGS)

lint: setup ## check format, lints and types, Rust and Python
	@cargo fmt --check
	@cargo clippy --quiet --no-default-features -- -D warnings
	@cargo clippy --quiet --all-targets --no-default-features --features opus -- -D warnings
	@cargo clippy --quiet --all-targets --features opus -- -D warnings
	@cargo check --quiet --manifest-path fuzz/Cargo.toml
	@$(BIN)/ruff check --quiet python examples benches
	@$(BIN)/ruff format --quiet --check python examples benches
	@$(BIN)/pyright --pythonpath $(BIN)/python --level error
	@$(BIN)/python -m mypy.stubtest audiostream._engine

format: setup ## format all sources
	@cargo fmt
	@$(BIN)/ruff check --quiet --fix python examples benches
	@$(BIN)/ruff format --quiet python examples benches

bench: system-bench $(STAMPS)/tools $(STAMPS)/bench-tools $(STAMPS)/engine-release ## measure, and print the figures as tables
	@cargo bench --quiet --no-default-features --features opus
	@status=0; for name in $(BENCHES); do $(BIN)/python benches/$$name.py || status=1; done; exit $$status

curves: system-bench $(STAMPS)/bench-tools ## measure playout again and draw the pictures of docs/playout.md
	@cargo bench --quiet --no-default-features --bench scenarios -- --csv $(CURDIR)/build/curves
	@$(BIN)/python benches/conceal_pesq.py --csv build/curves/pesq.csv
	@$(BIN)/python benches/curves.py build/curves docs/img

fuzz: system-build ## run each fuzz target for FUZZ_SECONDS (20)
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz
	@for target in $$(cargo fuzz list); do \
	    log=$(CARGO_TARGET_DIR)/fuzz-$$target.log; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz run --target-dir $(CARGO_TARGET_DIR)/fuzz $$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 >$$log 2>&1 || { cat $$log; exit 1; }; \
	    echo "$$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $$log) executions, no finding"; \
	done

docs: setup ## write the API documentation to build/docs
	@$(PIP) install 'pdoc>=15'
	@cargo doc --quiet --no-deps --no-default-features --features opus
	@mkdir -p build/docs
	@cp -r $(CARGO_TARGET_DIR)/doc build/docs/engine
	@$(BIN)/pdoc --output-directory build/docs/python audiostream
	@echo "build/docs/python/index.html, build/docs/engine/_engine/index.html"

clean: ## remove what was built, .venv included
	@cargo clean --quiet
	@rm -rf $(VENV) build dist .pytest_cache .ruff_cache python/audiostream/*.so
	@find python examples benches -name __pycache__ -type d -prune -exec rm -rf {} +

system-build:
	@.ci/system-packages build

system-test:
	@.ci/system-packages test

# Speech to judge concealment by. Without it that one bench is left out, and says so.
system-bench: system-test
	@.ci/system-packages bench || true

$(STAMPS)/venv: | system-build
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=23.1' 'maturin>=1.9.4,<2'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/tools: python/tests/requirements.txt $(STAMPS)/venv
	@echo "installing the tools for tests"
	@$(PIP) install --requirement python/tests/requirements.txt
	@touch $@

# `pesq` comes as source and wants a C compiler; where it cannot be had, its bench is left out, and says so.
$(STAMPS)/bench-tools: benches/requirements.txt $(STAMPS)/venv
	@echo "installing the tools for benches"
	@$(PIP) install --requirement benches/requirements.txt && touch $@ || true

# Checked: the guard that finds allocation on the audio threads lives in this build.
$(STAMPS)/engine-dev: $(ENGINE) $(STAMPS)/venv | system-build
	@echo "building the engine, checked"
	@$(BIN)/maturin develop > $(STAMPS)/build.log 2>&1 || { cat $(STAMPS)/build.log; exit 1; }
	@rm -f $(STAMPS)/engine-release && touch $@

$(STAMPS)/engine-release: $(ENGINE) $(STAMPS)/venv | system-build
	@echo "building the engine, optimised"
	@$(BIN)/maturin develop --release > $(STAMPS)/build.log 2>&1 || { cat $(STAMPS)/build.log; exit 1; }
	@rm -f $(STAMPS)/engine-dev && touch $@
