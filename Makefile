# make setup: .venv with the pinned set · make demo: SimCLR on digits · make test: the tests
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
# on Linux huge pages take a quarter off every step on a CPU
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: setup demo test lint clean
setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: setup
	$(BIN)/python -m experiments.simclr --demo --out runs/demo

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

clean:
	rm -rf .venv runs
