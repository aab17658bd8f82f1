# What can be done here; each target is one line of `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
KONG ?=
PLAYS ?=
SECONDS ?= 600
RATE ?= 1000

.DEFAULT_GOAL := help
.PHONY: help setup compile demo stack stack-build stack-test test check fix e2e ship wheels page screenshots site faults soak fuzz bench collector lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything, at the locked versions

$(READY): requirements-dev.lock pyproject.toml devtools/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "otlp-tracing needs Python 3.10 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "installing into $(VENV); a minute or two, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e '.[demo]' -e devtools
	@touch $@

compile: $(READY) ## compile the request path to C in this checkout (needs a C compiler); make clean undoes it
	@$(BIN)/python hatch_build.py

demo: $(READY) ## see traces: a stand-in Kong, two services and an OTLP receiver on this machine
	@$(BIN)/otlp-tracing demo

stack: $(READY) ## the gateway with Collector, Jaeger, Prometheus and Alertmanager, without Docker (Go and Debian's packages)
	@PYTHONPATH=tests $(BIN)/python -m stack $(if $(KONG),--kong=$(KONG))

stack-build: ## build Jaeger and the collectors of that stack, once (needs Go)
	@# Here it may take minutes. In a test it would exceed the time limit.
	@if command -v go >/dev/null; then tests/stack/jaeger/build.sh && for one in builder datadog; do \
		tests/e2e/collector/build.sh tests/stack/collector/$$one.yaml || exit; done; fi >/dev/null

stack-test: $(READY) stack-build ## test that stack, and every shipped configuration with the program that reads it
	@$(BIN)/pytest --quiet -rs tests/stack $(if $(KONG),--kong=$(KONG))

test: $(READY) ## run the unit and conformance tests
	@$(BIN)/pytest --quiet tests/unit tests/conformance devtools/tests

check: $(READY) ## check format, lint and types
	@$(BIN)/ruff format --check --quiet . || { echo "run: make fix"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary

fix: $(READY) ## format, and apply the fixes of the linter
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

e2e: $(READY) collector ## run the end-to-end tests, on the stand-in Kong (as Kong 3.4: PLAYS=3.4) or on a real one (KONG=/path/to/kong)
	@$(BIN)/pytest --quiet -rs tests/e2e $(if $(KONG),--kong=$(KONG)) $(if $(PLAYS),--kong-version=$(PLAYS))

ship: $(READY) ## build the image and check every shipped file; with a real Kong in it with KONG=/path/to/kong
	@$(BIN)/pytest --quiet -rs --timeout=900 tests/ship $(if $(KONG),--kong=$(KONG))

wheels: $(READY) ## test the product's wheel alone, and the demo with both wheels (needs a package index)
	@$(BIN)/pytest --quiet -rs tests/wheels

page: $(READY) ## drive the live page in a browser (needs Chromium)
	@$(BIN)/pytest --quiet -rs tests/page

screenshots: $(READY) ## make docs/screenshots again (needs Chromium); then look at them
	@$(BIN)/python tests/page/screenshots.py

faults: $(READY) ## kill, stop and replace every process under load (FAULTS=20 for the full length)
	@$(BIN)/pytest --quiet tests/faults $(if $(FAULTS),--fault-rounds=$(FAULTS)) $(if $(KONG),--kong=$(KONG))

site: $(READY) ## build the documentation as a site, dist/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file .ci/site.yml

soak: $(READY) ## every fault of delivery in full, docs/faults.md: 10 minutes without a collector (SECONDS=600 RATE=1000 ONLY=away)
	@$(BIN)/pytest --quiet -rs tests/faults/delivery --fault-seconds=$(SECONDS) \
		--fault-rounds=$$(( $(SECONDS) / 6 + 1 )) --fault-rate=$(RATE) $(if $(ONLY),-k $(ONLY))
	$(if $(ONLY),,@SPOOL_SEQUENCES=100000 $(BIN)/pytest --quiet tests/unit/sidecar/spool/test_database.py)

fuzz: $(READY) ## a million mutated inputs for every parser that reads another process's bytes (INPUTS=…)
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(if $(INPUTS),--inputs $(INPUTS))

bench: $(READY) ## measure cost and speed; with KONG=/path/to/kong beside Kong's own plugins, in 20 minutes (DOCS=1 writes docs/)
	@$(BIN)/python -m tests.bench $(if $(KONG),--kong=$(KONG)) $(if $(BEFORE),--before=$(BEFORE)) $(if $(DOCS),--docs)
	@$(BIN)/python -m tests.bench.page $(if $(DOCS),--docs)
	@PYTHONPATH=tests $(BIN)/python -m bench.delivery $(if $(DOCS),--docs)
	@$(BIN)/python -m tests.bench.redaction $(if $(DOCS),--docs)

collector: ## build the OpenTelemetry Collectors of the end-to-end tests, once; without Go those tests are skipped
	@# Here it may take minutes. In a test it would exceed the time limit.
	@if command -v go >/dev/null; then for one in builder redaction; do \
		tests/e2e/collector/build.sh tests/e2e/collector/$$one.yaml >/dev/null || exit; done; \
		else echo "no Go here: the tests with a real collector are skipped"; fi

lock: $(READY) ## lock the newest versions that pyproject.toml allows (needs uv)
	@for out in "requirements.lock pyproject.toml" "requirements-demo.lock devtools/pyproject.toml -c requirements.lock --no-emit-package otlp-tracing" \
		"requirements-dev.lock pyproject.toml devtools/pyproject.toml --group dev --no-emit-package otlp-tracing" "requirements-build.lock --group build"; do \
		uv pip compile --universal --python-version 3.10 --generate-hashes --no-header --quiet -o $$out; done
	@uv pip compile examples/requirements.in --universal --python-version 3.10 --generate-hashes --no-header --quiet -o examples/requirements.txt

clean: ## remove .venv, compiled libraries, and the caches of tests and tools
	@find pluginserver -name '*.so' -delete
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
