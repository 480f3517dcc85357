# make demo      a georeferenced result on a synthetic scene, base installation only
# make test      the test suite; installs what it needs
# make lint      ruff and mypy
# make test-qgis the tests that need QGIS; installs nothing
# make bench     the benchmarks

# The first Python of at least 3.11; PYTHON=… overrides.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint test-qgis bench

# The demo only needs the base; the tests add the extras to the same environment.
# Python compiles what it uses by itself; compiling everything up front costs half a minute and 85 MB.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

$(VENV)/base.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python of at least 3.11 was found; give one with PYTHON=…" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/dev.installed: pyproject.toml $(VENV)/base.installed
	$(PIP) -e ".[train,metrics,dev]"
	@touch $@

demo: $(VENV)/base.installed
	$(BIN)/weft-geo sample -o demo --overwrite
	$(BIN)/weft-geo predict demo/scene.tif -o demo/objects.gpkg --min-area-m2 15 --regularize --overwrite
	$(BIN)/weft-geo evaluate --objects demo/objects.gpkg --truth demo/truth.gpkg
	$(BIN)/weft-geo preview demo/scene.tif demo/objects.gpkg -o demo/objects.png --overwrite
	@echo "Look at $(CURDIR)/demo/objects.png, or open demo/objects.gpkg in QGIS."

test: $(VENV)/dev.installed
	@echo "The QGIS plugin is not written yet, so there are no QGIS tests to run (make test-qgis)."
	$(BIN)/python -m pytest

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-qgis:
	@python3 -c 'import qgis.core' 2>/dev/null || { echo "QGIS was not found: its Python cannot import qgis.core" >&2; exit 1; }
	@test -d tests/qgis_plugin || { echo "there are no QGIS tests yet: the plugin is not written" >&2; exit 1; }
	python3 -m pytest tests/qgis_plugin

bench: $(VENV)/dev.installed
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done
