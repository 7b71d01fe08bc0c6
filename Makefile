# Everything a checkout needs. uv is used where there is one, else venv and pip.
#   make demo                        look at it; ARGS="--once" ends by itself
#   make install test check          work on it
#   make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?=
VENV ?= .venv
ARGS ?=
PREFECT_ENVIRONMENT ?= $(HOME)/.cache/flowtell-tests/prefect
PREFECT ?= "prefect==3.8.8" "fastapi<0.151" "sqlalchemy<2.1"
LINEAGE_ENVIRONMENTS ?= $(HOME)/.cache/flowtell-tests
dbt_PACKAGES = "dbt-core==1.11.*" dbt-duckdb openlineage-dbt
airflow_PACKAGES = "apache-airflow>=3,<4" apache-airflow-providers-openlineage apache-airflow-providers-standard \
	apache-airflow-providers-common-sql apache-airflow-providers-postgres

BIN = $(VENV)/bin
FOLDERS = core exporters lineage alerts dashboard sources
EDITABLE = $(FOLDERS:%=-e ./%)
PROJECTS = $(FOLDERS:%=%/pyproject.toml)
UV := $(shell command -v uv 2>/dev/null)
ifneq ($(UV),)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python --build-constraints constraints.txt
else
INSTALL = PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
endif

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-all test-prefect parity prefect-environment test-lineage lineage-environments check bench schemas docs pictures constraints build clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 14

install: $(VENV)/.installed-dev  ## the six distributions, editable, with the tools to test and check them

demo: $(VENV)/.installed  ## the tour: example pipelines with everything on
	$(BIN)/flowtell demo $(ARGS)

test: install  ## all tests but the slow ones
	$(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

test-slow: install  ## the slow tests alone; none yet is no failure
	$(BIN)/python -m pytest -n 2 -m slow $(ARGS) || [ $$? = 5 ]

test-all: install  ## all tests
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-prefect: install prefect-environment  ## the bridge against a real Prefect server; ordinary scripts under both
	PREFECT_ENVIRONMENT="$(PREFECT_ENVIRONMENT)" $(BIN)/python -m pytest tests/sources/prefect tests/parity $(ARGS)

parity: install prefect-environment  ## ask Prefect for its names and keywords anew, and write the page
	$(PREFECT_ENVIRONMENT)/bin/python docs/parity/prefect_signatures.py > docs/parity/prefect.json.new
	mv docs/parity/prefect.json.new docs/parity/prefect.json
	$(BIN)/python docs/parity_reference.py

# Of its own and outside the checkout: Prefect's dependencies are not ours. With SQLAlchemy 2.1 Prefect 3.8.8 starts and
# schedules nothing; with a later FastAPI it does not start. For another one name both:
# make test-prefect PREFECT=prefect==3.9.1 PREFECT_ENVIRONMENT=$HOME/.cache/flowtell-tests/prefect-3.9.1
prefect-environment: $(PREFECT_ENVIRONMENT)/.made  ## an environment with Prefect in it, for those tests

$(PREFECT_ENVIRONMENT)/.made:
	rm -rf $(PREFECT_ENVIRONMENT)
	python3 -m venv $(PREFECT_ENVIRONMENT)
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(PREFECT_ENVIRONMENT)/bin/python -m pip install --quiet $(PREFECT)
	@touch $@

test-lineage: install lineage-environments  ## the OpenLineage receiver against a real dbt and a real Airflow
	LINEAGE_ENVIRONMENTS="$(LINEAGE_ENVIRONMENTS)" $(BIN)/python -m pytest tests/lineage/openlineage/real $(ARGS)

# Of their own too. dbt-core is the version that the tests were written with; Airflow's constraints are for one Python alone.
lineage-environments: $(LINEAGE_ENVIRONMENTS)/dbt/.made $(LINEAGE_ENVIRONMENTS)/airflow/.made  ## one with dbt and one with Airflow

$(LINEAGE_ENVIRONMENTS)/%/.made:
	rm -rf $(LINEAGE_ENVIRONMENTS)/$*
	python3 -m venv $(LINEAGE_ENVIRONMENTS)/$*
	$(if $(UV),$(UV) pip install --quiet --python $(LINEAGE_ENVIRONMENTS)/$*/bin/python,PIP_DISABLE_PIP_VERSION_CHECK=1 $(LINEAGE_ENVIRONMENTS)/$*/bin/python -m pip install --quiet) $($*_PACKAGES)
	@touch $@

faults: install  ## every fault of docs/faults.md, one after the other, with what was measured
	$(BIN)/python -m pytest tests/faults tests/core/store/test_lease.py -s -p no:randomly $(ARGS)

check: install  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if [ -d tests/typing ]; then set -ex; $(BIN)/mypy tests/typing; PATH="$(CURDIR)/$(BIN):$$PATH" pyright; fi
	$(BIN)/lint-imports --no-logo

bench: install  ## the budgets
	$(BIN)/python benchmarks/run.py $(ARGS)

schemas: install  ## write the JSON schemas of events and of flowtell.toml
	$(BIN)/flowtell events schema --output docs/schemas
	$(BIN)/flowtell config show --schema > docs/schemas/flowtell.toml.json

docs: schemas  ## write the pages that are generated
	$(BIN)/python docs/event_reference.py
	$(BIN)/python docs/metric_reference.py
	$(BIN)/python docs/setting_reference.py
	$(BIN)/python docs/command_reference.py
	$(BIN)/python docs/plugin_reference.py
	$(BIN)/python docs/parity_reference.py
	$(BIN)/python docs/timelines.py

pictures: install  ## take the pictures of the README and of the docs; needs Debian's chromium
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/slack_picture.py

# Names and versions only, for every Python from 3.11 on: no hashes, addresses or paths.
constraints:  ## resolve constraints.txt anew, with uv
	@test -n "$(UV)" || { echo "make constraints needs uv" >&2; exit 1; }
	printf '%s\n' $(FOLDERS:%='-e ./%') | $(UV) pip compile - requirements-dev.txt --universal --python-version 3.11 \
		--upgrade --strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
		| grep -E '^[A-Za-z0-9._-]+==' > constraints.txt.new
	mv constraints.txt.new constraints.txt

build: install  ## wheels and source distributions, into dist/
	for folder in $(FOLDERS); do $(BIN)/python -m build --outdir dist $$folder || exit 1; done

clean:  ## caches and builds; the environment stays
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(FOLDERS) tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# Installed again only when what is asked for has changed.
$(VENV)/.installed-dev: $(PROJECTS) constraints.txt requirements-dev.txt | $(BIN)/python
	$(INSTALL) -c constraints.txt $(EDITABLE) -r requirements-dev.txt
	@touch $(VENV)/.installed $@

$(VENV)/.installed: $(PROJECTS) constraints.txt | $(BIN)/python
	$(INSTALL) -c constraints.txt $(EDITABLE)
	@touch $@

$(BIN)/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "$(VENV): $$("$$python" --version)"; \
		if [ -n "$(UV)" ]; then exec $(UV) venv --quiet --seed --python "$$python" $(VENV); fi; \
		"$$python" -m venv $(VENV) && exit 0; \
		rm -rf $(VENV); \
	done; \
	echo "No Python from 3.11 on that can make an environment. On Debian: apt-get install python3-venv" >&2; \
	exit 1
