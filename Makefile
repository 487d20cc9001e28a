# make setup: .venv with the pinned set · make demo: SimCLR on digits · make check: before a commit · make test: everything
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
# two processes; tests of one group (a file, if they name no other) stay in one of them and share what they compile
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup
# on Linux huge pages take a quarter off every step on a CPU
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: setup demo lint check test clean
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

clean:
	rm -rf .venv runs
