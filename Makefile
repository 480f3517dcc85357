# make demo      a georeferenced result on a synthetic scene, base installation only
# make test      the test suite; installs what it needs
# make test-lowest  it with the oldest packages that pyproject.toml allows
# make lint      ruff and mypy
# make test-qgis the tests that need QGIS; installs nothing
# make plugin    the zip that QGIS installs, in dist/
# make bench     the benchmarks

# The first Python of at least 3.11; PYTHON=… overrides.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

# The Python that QGIS uses, and an environment over it for the tests of the plugin.
QGIS_PYTHON ?= $(shell for python in python3 /usr/bin/python3; do \
	$$python -c 'import qgis.core' 2>/dev/null && echo $$python && break; done)
QGIS_VENV := $(VENV)-qgis
QGIS_NEEDS := qgis Xvfb xdotool import
QGIS_LACKS = $(if $(QGIS_PYTHON),,python3-qgis) $(foreach program,$(QGIS_NEEDS),$(if $(shell command -v $(program)),,$(program)))

.PHONY: demo test test-lowest lint test-qgis qgis-env plugin bench

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

# Where QGIS is missing the tests of the plugin are skipped, and it is said.
test: $(VENV)/dev.installed
ifneq ($(strip $(QGIS_LACKS)),)
	@echo "The tests that need QGIS are skipped, for lack of: $(strip $(QGIS_LACKS)). docs/qgis.md says how to get it."
else ifdef QGIS_TESTED
	@echo "The tests that need QGIS have run before."
else
	$(MAKE) --no-print-directory qgis-env
	$(MAKE) --no-print-directory test-qgis
endif
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Old packages warn of what newer ones changed under them, so here a warning is no error.
test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct \
		-e ".[train,metrics,ray,dev]"
	$(VENV)-lowest/bin/python -m pytest -n 2 --dist worksteal --override-ini filterwarnings=default

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(QGIS_VENV)/installed:
	$(QGIS_PYTHON) -m venv --system-site-packages $(QGIS_VENV)
	$(QGIS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check pytest pytest-qgis pytest-qt bandit detect-secrets
	@touch $@

qgis-env: $(QGIS_VENV)/installed

test-qgis:
	@test -z "$(strip $(QGIS_LACKS))" || { echo "QGIS cannot be tested here, for lack of: $(strip $(QGIS_LACKS))" >&2; exit 1; }
	@test -e $(QGIS_VENV)/installed || { echo "there is no $(QGIS_VENV): make qgis-env installs it" >&2; exit 1; }
	@test -x $(BIN)/weft-geo || { echo "there is no $(BIN)/weft-geo: make lint installs it" >&2; exit 1; }
	WEFT_GEO_INTERPRETER=$(abspath $(VENV)) QT_QPA_PLATFORM=offscreen \
		$(QGIS_VENV)/bin/python -m pytest -c tests/qgis_plugin/pytest.ini tests/qgis_plugin

plugin: $(VENV)/base.installed
	$(BIN)/python tools/build_plugin.py

bench: $(VENV)/dev.installed
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done
