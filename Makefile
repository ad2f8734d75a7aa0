# SPDX-License-Identifier: GPL-2.0-or-later
#
# make demo and make test are all that a new machine needs: each first sets up what it uses.  The demo needs only what
# Suture itself needs; every other goal sets up what its developers need too.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup packages development-packages demo test test-all fuzz test-unit test-fleet test-packages test-compile test-lab test-pages lint types format coverage bench docs lock deb zipapp clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: packages $(VENV)/suture-installed ## build a live patch for a stock kernel, boot that kernel, and watch the patch work
	$(VENV)/bin/suture demo

test: setup ## everything: lint, types, and the unit, fleet, packages, compile and lab tests
	@$(PYTHON) scripts/test_levels.py lint types unit fleet packages compile lab

test-all: setup ## as test, on all flavours, long tests on both series, with a hundred rounds of a live patch that stays in memory, and reports in a browser
	@SUTURE_FLAVOURS=all SUTURE_SERIES=all SUTURE_STAYING_ROUNDS=100 $(PYTHON) scripts/test_levels.py lint types unit fleet packages compile lab pages

test-unit: setup ## the tests that need no kernel (under a minute)
	@$(PYTHON) scripts/test_levels.py unit

test-fleet: setup ## the tests with servers: a cluster of etcd, Prometheus, Alertmanager, nginx
	@$(PYTHON) scripts/test_levels.py fleet

test-packages: setup ## the tests that install Debian packages of the committed tree in small Debian systems
	@$(PYTHON) scripts/test_levels.py packages

test-compile: setup ## the tests that fetch a kernel and compile
	@$(PYTHON) scripts/test_levels.py compile

test-lab: setup ## the tests that boot a kernel in a virtual machine
	@$(PYTHON) scripts/test_levels.py lab

test-pages: setup ## the tests that look at reports in a browser (which they unpack below build/)
	@$(PYTHON) scripts/test_levels.py pages

fuzz: setup ## read thousands of damaged files of each kind (EXAMPLES=20000 for more)
	SUTURE_FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(PYTHON) -m pytest -q -n auto tests/unit/fuzz

lint: setup ## ruff
	@$(PYTHON) scripts/test_levels.py lint

types: setup ## mypy --strict
	@$(PYTHON) scripts/test_levels.py types

format: setup ## put the code into the form that lint asks for
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

coverage: setup ## which lines the unit tests never reach
	$(PYTHON) -m coverage run -m pytest tests/unit
	$(PYTHON) -m coverage report

bench: setup ## how long a build takes, step by step, on this machine
	@$(PYTHON) -m bench

docs: setup ## what is made from the code: the man page, the list of errors, the schema of livepatch.toml
	$(PYTHON) scripts/manpage.py
	$(PYTHON) scripts/errors_doc.py
	$(PYTHON) scripts/schema.py

lock: ## lock new dependencies in requirements.lock and requirements-dev.lock (UPGRADE=1 to take newer versions of all)
	scripts/lock $(if $(UPGRADE),--upgrade)

deb: packages $(VENV)/suture-installed ## make Debian packages of the committed tree in build/deb, with debhelper and lintian in a small Debian 13 of their own
	@$(PYTHON) scripts/deb.py

zipapp: packages $(VENV)/suture-installed ## make build/suture.pyz, one file that loads live patches on hosts without apt
	@$(PYTHON) scripts/zipapp.py

clean: ## remove what the other goals made here (the cache of kernels stays)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

setup: development-packages $(VENV)/suture-installed $(VENV)/development-installed ## what all goals use: Debian packages and the virtual environment

packages:
	@python3 scripts/packages.py

development-packages:
	@python3 scripts/packages.py --development

$(VENV)/packages-installed: requirements.lock | packages
	@echo "Setting up $(VENV)"
	@python3 -m venv --clear $(VENV)
	@python3 scripts/environment.py $(VENV) requirements.lock
	@touch $@

$(VENV)/suture-installed: pyproject.toml $(VENV)/packages-installed
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/development-installed: requirements-dev.lock $(VENV)/packages-installed | development-packages
	@echo "Adding what developers need to $(VENV)"
	@python3 scripts/environment.py $(VENV) requirements-dev.lock
	@touch $@
