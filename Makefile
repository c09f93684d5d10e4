# make tour   train CLCR on the bundled digits, look inside, write build/tour.html
# make playground  train a small CLCR on the digits, write build/playground.html: make a digit, the model answers at once
# make lab    the same notebooks, live
# make site   the course as pages, in build/site; opens from the disk; with the playground, if it was made before
# make test   everything: format, lint, types, JavaScript, unit tests, notebooks, browser
# make bundle the explorer's JavaScript joined anew, after a change to its modules
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
JS := clcrkit/viz/explorer/js
# node comes from PyPI with the dev extra; its tools lie in $(JS)/node_modules
NPM := export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; cd $(JS) && npm

# two workers with a thread each; files in order, as the long ones are not those with many tests
TWO := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Two threads that spin while they wait make each other several times slower on a busy machine.
export OMP_WAIT_POLICY ?= passive
export PYDEVD_DISABLE_FILE_VALIDATION ?= 1

.PHONY: tour tour-page tour-playground playground lab site test lint types js bundle unit gates notebooks browser data clean

# A thread for each of the two, since threads of two such small models mostly wait for each other. glibc keeps the memory
# of large arrays instead of returning it after each operation: a trace of all test samples takes 0.6 of the time.
tour: $(READY)
	@OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=4000000000 \
	    $(MAKE) --no-print-directory -j2 tour-page tour-playground

tour-page: $(READY)
	$(PY) -m clcrkit.pages notebooks/00_tour.ipynb build/tour.html --playground playground.html

tour-playground: $(READY)
	@$(PY) -m clcrkit.playground build/playground.html || echo "tour: the page stands, but without the playground beside it"

playground: $(READY)
	$(PY) -m clcrkit.playground build/playground.html

lab: $(READY)
	$(PY) -m jupyterlab --ServerApp.root_dir=notebooks

site: $(READY)
	$(PY) notebooks/site/build.py build/site $$(test -f build/playground.html && echo --playground build/playground.html)

# the quick parts at once, the others in turn, then where the time went
test: $(READY)
	@for part in "lint types js" unit notebooks browser; do \
	    began=$$(date +%s); $(MAKE) --no-print-directory -j3 $$part || exit 1; \
	    spent="$$spent\n$$part $$(($$(date +%s) - began)) s"; \
	done; printf "Where the time went:$$spent\n"

lint: $(READY)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: $(READY)
	$(PY) -m mypy

# the tools are as package-lock.json names them; without the registry there is nothing to check with
js: $(READY)
	@if ! [ $(JS)/node_modules/.package-lock.json -nt $(JS)/package-lock.json ] && \
	    ! ($(NPM) ci --ignore-scripts --no-audit --no-fund --fetch-timeout=60000); then \
	    echo "js: npm could not install the tools of $(JS)/package.json; is its registry within reach?"; \
	    [ -z "$$CI" ] || exit 1; echo "js: SKIPPED, the explorer's JavaScript was not checked"; \
	else $(NPM) test && cd $(CURDIR) && $(PY) -m pytest tests/viz/explorer/test_bundle.py; fi

bundle: $(READY)
	$(NPM) run bundle

unit: $(READY)
	$(TWO) tests --ignore tests/browser --durations 10 \
	    --jaxtyping-packages=clcrkit,exercises,beartype.beartype

gates: $(READY)
	$(PY) -m pytest tests/notebooks/test_gates.py -q -s

notebooks: $(READY)
	$(TWO) --nbval notebooks/ --junitxml build/notebooks.xml
	$(PY) -m tests.notebooks.minutes build/notebooks.xml

browser: $(READY)
	$(TWO) tests/browser --durations 15

data: $(READY)
	$(PY) data/make_digits.py

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -e '.[dev]' -c constraints.txt
	touch $(READY)
