# Two commands matter: `make run` does the main job, `make test` runs the tests.
# Each sets up all that it needs in .venv; PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

REFERENCE := $(VENV)/.reference
OLDEST := $(VENV)/onnxruntime-1.20.0

.PHONY: run test test-slow study zoo figures api-docs lint format clean

run: $(READY)
	$(BIN)/aeroact-hpo run --preset zoo --out runs/default
	$(BIN)/aeroact-export runs/default --pick lightest

test: $(READY) $(OLDEST)
	@tools/setup-system
	$(BIN)/python -m pytest

test-slow: $(REFERENCE)
	@tools/setup-system
	$(BIN)/python -m pytest -m slow

# The study of docs/report.md: four projects on 500,000 parcels; it can be interrupted.
STUDY := runs/study
SUBSETS := 0.05 0.25 0.50 1.00
study: $(READY)
	$(BIN)/aeroact-data generate -n 500000 --seed 1 --out $(STUDY)/activation.nc
	for p in $(SUBSETS); do \
	  $(BIN)/aeroact-hpo run --data $(STUDY)/activation.nc --out $(STUDY)/P$$p --p-subset $$p \
	    --holdout 0.5 --trials 60 --retrain 10 --retrain-epochs 100 --max-params 20000 || exit 1; \
	done
	$(BIN)/aeroact-hpo report $(SUBSETS:%=$(STUDY)/P%) --out $(STUDY)/report
	mkdir -p docs/study/figures docs/study/tables
	cp $(STUDY)/report/figures/*.png docs/study/figures
	cp $(STUDY)/report/tables/* docs/study/tables
	cp $(STUDY)/report/provenance.json docs/study

# The released emulators of docs/zoo.md, from nothing in an hour or two; it can be interrupted.
# E3SM_COLUMNS may name a CSV file of E3SM columns, on which they are then compared.
ZOO := runs/zoo
EMULATORS := feather light knee best
# The lightest that reaches the error of docs/zoo.md, or the best.
PICK_feather := lightest --max-mse 1e-5
PICK_light := lightest --max-mse 1.5e-6
PICK_knee := lightest --max-mse 7e-7
PICK_best := best
zoo: $(READY)
	$(BIN)/aeroact-data generate -n 3700000 --seed 2026 --out $(ZOO)/activation.nc
	$(foreach e,$(EMULATORS),\
	  $(BIN)/aeroact-hpo run --config zoo/mam4-$(e).toml --data $(ZOO)/activation.nc \
	    --out $(ZOO)/mam4-$(e) && \
	  $(BIN)/aeroact-export $(ZOO)/mam4-$(e) --pick $(PICK_$(e)) --native --assess \
	    $(if $(E3SM_COLUMNS),--columns $(E3SM_COLUMNS)) --out aeroact/emulators/mam4-$(e) &&) true
	$(BIN)/aeroact-zoo index aeroact/emulators
	$(BIN)/python zoo/page.py

# E3SM_COLUMNS may name a CSV file of E3SM columns, whose ranges are then drawn beside the samples.
figures: $(READY)
	$(BIN)/python docs/figures/states.py $(if $(E3SM_COLUMNS),--columns $(E3SM_COLUMNS))
	$(BIN)/python docs/figures/trajectory.py
	$(BIN)/python docs/figures/arg2000.py
	$(BIN)/python benchmarks/accuracy.py --figure docs/figures/accuracy.png

# Pages on the Fortran library, in fortran_bridge/build/api.
api-docs: $(READY)
	cd fortran_bridge && ../$(BIN)/ford ford.md

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

# pyrcel, which only slow tests and benchmarks need.
$(REFERENCE): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[reference]'
	@touch $@

# The oldest ONNX Runtime with which the Fortran library is tested.
$(OLDEST): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $@ \
	  onnxruntime==1.20.0 || echo "Without ONNX Runtime 1.20.0: its tests are left out"

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
