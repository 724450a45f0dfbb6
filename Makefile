# reports: every notebook as a page · test: everything CI runs · fuzz: any parameters · setup · lab · strip (notebooks) · bench · clean
PYTHON ?= python3
BIN := .venv/bin
# other processors' ways to compute: without AVX-512, without AVX, and PyTorch's own without either
KERNELS := ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default
STRIP := --keep-id --extra-keys "metadata.papermill cell.metadata.papermill"

reports: .venv/.base
	$(BIN)/course run all --profile quick

test: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy helpers data_scripts reports
	$(BIN)/nbstripout $(STRIP) --verify notebooks/*.ipynb
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile  # torch gains little from a second thread here
	for kernels in $(KERNELS); do \
	  echo "oracles with $$kernels" && env $$kernels OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile \
	    -m "oracle and not slow" $$(grep -l mark.oracle tests/test_*.py) || exit 1; \
	done

# forty draws of parameters for each notebook, for a night
fuzz: .venv/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "nightly or slow" tests/test_any_parameters.py

setup: .venv/.base

lab: .venv/.base
	$(BIN)/course data prepare all
	$(BIN)/jupyter lab --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate notebooks

strip: .venv/.test
	$(BIN)/nbstripout $(STRIP) notebooks/*.ipynb

bench: .venv/.test
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

# everything that was made here: reports, drawn pictures and trained weights, too
clean:
	rm -rf .venv reports/out data .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info

# the stamps are younger than pyproject.toml when everything in it is installed
.venv/.base: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'Python 3.11 or newer is needed: make PYTHON=python3.12')"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch torchvision  # together, from the same index: they must match
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/.test: .venv/.base
	$(BIN)/python -m pip install --quiet -e '.[test]'
	$(BIN)/python -m pip install --quiet --no-deps facextool==0.1.52  # an oracle; it asks for an older grad-cam than ours
	$(BIN)/python -m pip install --quiet --no-deps detoxai==0.3.8  # an oracle; tests/detoxai_there.py says why so
	touch $@

.PHONY: reports test fuzz setup lab strip bench clean
