# Everything needs Python 3.11 or newer with pip and venv; the rest is fetched into .venv by `make setup`.
PYTHON ?= python3
UV ?= uv
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.complete

.PHONY: setup test demo check bench lock protocol clean

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python has no venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 $(ARGS)

demo: $(STAMP)
	$(BIN)/baylight demo $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/squawk src/baylight/sql/migrations/*.sql
	$(BIN)/python -m tests.secrets_scan

# All measurements, or some: make bench BENCHES=ingest ARGS=--quick
BENCHES ?= $(basename $(notdir $(shell grep -l __main__ bench/*.py)))
bench: $(STAMP)
	@status=0; for part in $(BENCHES); do $(BIN)/python -m bench.$$part $(ARGS) || status=1; done; exit $$status

# The newest versions that pyproject.toml allows, each with the hashes of its files. Needs uv.
lock:
	$(UV) pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --quiet --extra embedded --output-file requirements.lock
	$(UV) pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --quiet --all-extras --output-file requirements-dev.lock
	sed -i '/^--.*index-url/d; /^--find-links/d' requirements.lock requirements-dev.lock

# Makes chirpstack_pb2.py and .pyi anew from chirpstack.proto.
protocol: $(STAMP)
	cd src/baylight/protocol && ../../../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. chirpstack.proto
	$(BIN)/ruff format --quiet src/baylight/protocol/chirpstack_pb2.pyi

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
