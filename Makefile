# make setup: .venv with the pinned set · make demo: SimCLR on digits · make check: before a commit · make test: everything
# make docs: the site
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
# two processes; tests of one group (tests/conftest.py) stay in one of them and share what they compile;
# when one dies the run ends, since xdist would wait for ever
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadscope --max-worker-restart 0
# on Linux huge pages take a quarter off every step on a CPU
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: setup demo lint check test docs clean
setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: setup
	$(BIN)/python -m experiments.simclr --demo --out runs/demo

lint: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

check: lint
	$(PYTEST) -m "not slow"

test: lint
	$(PYTEST)

# the site, in build/site; mkdocs has an environment of its own
docs: build/docs/.installed
	build/docs/bin/mkdocs build --strict

build/docs/.installed: pyproject.toml
	$(PYTHON) -m venv build/docs
	build/docs/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@

clean:
	rm -rf .venv build runs
