# Two commands matter: `make run` does the main job, `make test` runs the tests.
# Each sets up all that it needs in .venv; PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test test-slow lint format clean

run: $(READY)
	$(BIN)/aeroact-hpo run --out runs/default
	$(BIN)/aeroact-export runs/default --pick lightest

test: $(READY)
	@tools/setup-system
	$(BIN)/python -m pytest

test-slow: $(READY)
	@tools/setup-system
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy aeroact tests

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The virtual environment, made again when the project's dependencies change.
$(READY): pyproject.toml tools/setup-python
	@tools/setup-python $(PYTHON) $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
