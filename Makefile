# `make demo` and `make test` are all a newcomer needs; each sets up its own virtual environment once.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# One thread per BLAS call: the parallelism is over tiles.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test test-all bench experiments docs pictures lint clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/xrfsr demo demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two at once; the slow ones, which measure time and memory, one by one.
test: lint
	$(BIN)/pytest -q -rs -m "not slow" -n 2 --dist worksteal

test-all: test
	$(BIN)/pytest -q -m slow

bench: $(READY)
	$(BIN)/python -m benchmarks

# Hours on two cores; what is done is kept in experiments/, so an interrupted series goes on.
experiments: $(READY)
	$(BIN)/python -m benchmarks.experiments

# The site, in site/index.html; asks nothing of the network.
docs: $(READY)
	$(BIN)/sphinx-build -q -E -W --keep-going -c docs -b html . site

# The figures that the notebooks draw, kept in docs/figures/; some minutes.
pictures: $(READY)
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) demo site .pytest_cache .mypy_cache .ruff_cache
