# Every target does its own set-up; what is done already is skipped.
# Variables given to make (DATA=, FILTER=, ...) reach the scripts through the environment.
SHELL := /bin/bash
.PHONY: help setup demo test test-python test-r test-modern check lint format docs document vignettes benchmarks clean

help:            ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## ?(.*)/  make \1\t\2/p' Makefile | expand -t 22

setup:           ## everything isthmus needs, from a bare Debian 12
	@bash tools/setup.sh

demo: setup      ## fit, project, transfer, impute on real cells; own: DATA=x.h5ad|x.rds BATCH=column [QUERY=] [LABELS=] [VALUES=] [OUT=]
	@bash tools/demo.sh

test: setup      ## all tests, Python and R, and the vignettes
	@bash tools/test.sh python r vignettes

test-python: setup ## the Python tests; ARGS= goes to pytest
	@bash tools/test.sh python -- $(ARGS)

test-r: setup    ## the R tests; FILTER= is a regular expression of file names
	@bash tools/test.sh r

test-modern:     ## the R and bridge tests on R 4.5, Seurat 5, Bioconductor 3.20, in a Debian trixie root (6 minutes once, root)
	@bash tools/test-modern.sh

check: setup     ## R CMD build and R CMD check
	@bash tools/check.sh

lint: setup      ## ruff, lintr, size limits, documentation up to date
	@bash tools/lint.sh

format: setup    ## let ruff lay out the Python files
	@.venv/bin/ruff check --fix-only --quiet . && .venv/bin/ruff format .

docs: setup      ## the Python documentation; warnings are errors
	@bash tools/docs.sh

document: setup  ## NAMESPACE and man/ from the roxygen comments
	@bash tools/document.sh && bash tools/setup.sh

vignettes: setup ## the vignettes, into .cache/vignettes
	@bash tools/test.sh vignettes

benchmarks: setup ## the table of tests/benchmarks on the data of ISTHMUS_DATA (or ../shared/data)
	@.venv/bin/python tests/benchmarks/accuracy_scalex.py $(ARGS)
	@.venv/bin/python tests/benchmarks/bench_scalex.py pbmc_3tech_rna.h5ad
	@.venv/bin/python tests/benchmarks/bench_scalex.py scmixology_rna.h5ad
	@.venv/bin/python tests/benchmarks/accuracy_scdreamer.py .cache/benchmarks
	@bash tools/with-r.sh Rscript tests/benchmarks/bench_bridge.R

clean:           ## remove environments, caches and build products (a chroot of test-modern too)
	@rm -rf --one-file-system .venv .Rlib .cache build dist *.egg-info python/docs/_build vignettes/*.html
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
