# Everything needs Python 3.11 or newer with pip and venv; `make setup` brings the rest into .venv and web/node_modules.
PYTHON ?= python3
UV ?= uv
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
WEB := cd web && PATH="$(CURDIR)/$(BIN):$$PATH"
DEMO := .venv/.complete
DEV := .venv/.complete-dev

.PHONY: setup test demo check bench lock protocol clean

setup: $(DEV)

# What the program and its demo need.
$(DEMO): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python has no venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-build-isolation --editable .
	@touch $@

# What tests, checks and measurements need as well: tools, Node, and a browser with the libraries that a machine may lack.
UNPACK := import { inflate } from "@sparticuz/chromium"; \
	for (const name of ["chromium", "al2023.tar"]) await inflate("node_modules/@sparticuz/chromium/bin/" + name + ".br")
$(DEV): $(DEMO) requirements-dev.lock web/package-lock.json
	$(PIP) --require-hashes -r requirements-dev.lock
	$(WEB) npm ci
	rm -rf .venv/chromium && mkdir .venv/chromium
	$(WEB) TMPDIR=../.venv/chromium node --input-type=module --eval '$(UNPACK)'
	@touch $@

test: $(DEV)
	$(BIN)/python -m pytest -n 2 $(ARGS)

demo: $(DEMO)
	$(BIN)/baylight demo $(ARGS)

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/squawk src/baylight/sql/migrations/*.sql
	$(BIN)/python -m tests.secrets_scan
	$(BIN)/python -m tests.plain_english

# All measurements, or some: make bench BENCHES=ingest ARGS=--quick
BENCHES ?= $(basename $(notdir $(shell grep -l __main__ bench/*.py)))
bench: $(DEV)
	@status=0; for part in $(BENCHES); do $(BIN)/python -m bench.$$part $(ARGS) || status=1; done; exit $$status

# The newest versions that pyproject.toml and package.json allow, each with the hashes of its files. Needs uv, and `make setup`.
lock:
	$(UV) pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --quiet --extra embedded --extra build --output-file requirements.lock
	$(UV) pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --quiet --all-extras --output-file requirements-dev.lock
	sed -i '/^--.*index-url/d; /^--find-links/d' requirements.lock requirements-dev.lock
	$(WEB) npm update --package-lock-only

# Makes chirpstack_pb2.py and .pyi anew from chirpstack.proto.
protocol: $(DEV)
	cd src/baylight/protocol && ../../../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. chirpstack.proto
	$(BIN)/ruff format --quiet src/baylight/protocol/chirpstack_pb2.pyi

clean:
	rm -rf .venv web/node_modules build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
