# Two commands do everything: `make demo` and `make test`. Both start with `make setup`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint types check clean
setup: $(VENV)/.installed

# The stamp makes the installation happen once, and again whenever the requirements change.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,rivals,onnx,ray]"
	@touch $@

demo: setup
	$(BIN)/metabalance compare digits-severe --seeds 1 --report out/demo

test: setup
	$(BIN)/python -m pytest -n auto --dist worksteal --cov=metabalance --cov-report=term:skip-covered --cov-fail-under=90

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

check: lint types test

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .coverage
