# One-word commands for the project. `make` alone lists them.
# GNU make (3.81 or newer) and a POSIX sh, on Linux and macOS. Paths are relative, so a folder with spaces is fine.

.DEFAULT_GOAL := help
.PHONY: help setup repro test lint tensorboard lock

SHELL := /bin/sh
PYTHON ?=
ARGS ?=

export DVC_NO_ANALYTICS := 1
# Settings that would let packages from elsewhere in, or put ours elsewhere.
unexport PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT
unexport UV_INDEX UV_INDEX_URL UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_TORCH_BACKEND

# Puts .venv first, so that `python` in dvc.yaml is the project's own.
IN_VENV = PATH="$$PWD/.venv/bin:$$PATH"; export PATH;

# Sets $$found to a Python that can make the venv. Candidates are run, not looked up: a version manager's
# stand-in is found on PATH and still fails when called. A Python named by hand is the only candidate. The one
# taken is the base of any active venv, since that venv may be the .venv about to be removed.
FIND_PYTHON = \
	named='$(PYTHON)'; found=; bare=; \
	if [ -n "$$named" ]; then set -- "$$named"; \
	else set -- python3.13 python3.12 python3.11 python3.14 python3; fi; \
	for candidate do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		found=$$("$$candidate" -c 'import ensurepip, sys, venv; print(sys._base_executable)' 2>/dev/null) && break; \
		bare=$${bare:-$$candidate}; \
	done; \
	if [ -z "$$found" ]; then \
		if [ -n "$$bare" ]; then echo "error: $$bare has no venv module; install it (Debian, Ubuntu: apt install python3-venv) or name another Python: make setup PYTHON=/path/to/python3" >&2; \
		elif [ -n "$$named" ]; then echo "error: PYTHON=$$named does not run as Python 3.11 or newer; name one that does, or leave PYTHON out" >&2; \
		else echo "error: no Python 3.11 or newer found; install one, or name it: make setup PYTHON=/path/to/python3" >&2; fi; \
		exit 2; \
	fi;

# What .venv/.set-up holds when the install is complete: where the venv lives (its scripts hold that path, so
# a moved or copied one is stale) and the lock it was made from.
STATE = { (cd .venv && pwd -P) && cat requirements.lock; }

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r name what; do \
		printf '  make %-12s %s\n' "$$name" "$$what"; done

# The stamp is written last. `.venv/.installing` holds the process at work: a leftover one means an interrupted
# install, whose half-written packages pip would take for whole ones, so that venv is made anew.
# An old venv is renamed before it is removed, so that half of one is never found; of a link only the link goes.
setup: ## build .venv from requirements.lock (PYTHON=... names the Python to use)
	@if $(STATE) 2>/dev/null | cmp -s - .venv/.set-up 2>/dev/null && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi; \
	other=$$(cat .venv/.installing 2>/dev/null); \
	if [ -n "$$other" ] && kill -0 "$$other" 2>/dev/null; then \
		echo "error: another set-up (process $$other) is at work on .venv; wait for it, or if that is not so: rm -rf .venv" >&2; exit 2; \
	fi; \
	place=$$(cd .venv 2>/dev/null && pwd -P); \
	if [ -e .venv/.installing ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1 || \
		{ [ -s .venv/.set-up ] && [ "$$place" != "$$(head -n 1 .venv/.set-up)" ]; }; then \
		$(FIND_PYTHON) \
		echo "Making .venv with $$found ($$("$$found" -c 'import platform; print(platform.python_version())'))"; \
		rm -rf .venv.partial; { [ ! -e .venv ] && [ ! -L .venv ]; } || mv .venv .venv.partial || exit 1; rm -rf .venv.partial; \
		mkdir .venv && echo $$$$ >.venv/.installing && "$$found" -m venv .venv || exit 1; \
	fi; \
	echo $$$$ >.venv/.installing && rm -f .venv/.set-up || exit 1; \
	echo "Installing requirements.lock: the first time some minutes and about 6 GB"; \
	.venv/bin/python -m pip --require-virtualenv --disable-pip-version-check --no-input install --no-compile -qq -r requirements.lock \
		|| { echo "error: pip could not install requirements.lock; see above, then run the same command again" >&2; exit 1; }; \
	why=$$(.venv/bin/python -c 'import torch, torchvision' 2>&1) || { \
		echo "error: torch and torchvision do not load ($$(printf '%s\n' "$$why" | tail -n 1)); if another build of torch was mixed in (pip.conf, PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL), turn that off and run make setup again" >&2; exit 1; }; \
	$(STATE) >.venv/.set-up && rm -f .venv/.installing && echo "Set-up complete"

# DVC needs git unless told otherwise, and a downloaded archive has none. The setting lies in .venv and not in
# .dvc/, so that a later `git init` is not overruled by it.
repro: setup ## run the pipeline (dvc repro), then show the results (ARGS=... goes to dvc repro)
	@$(IN_VENV) \
	if ! git rev-parse --git-dir >/dev/null 2>&1; then \
		echo "Not a git repository: DVC runs without git (dvc repro works; dvc exp and dvc diff need git)"; \
		mkdir -p .venv/dvc && printf '[core]\n    no_scm = true\n    check_update = false\n' >.venv/dvc/config || exit 1; \
		DVC_SYSTEM_CONFIG_DIR="$$PWD/.venv/dvc"; export DVC_SYSTEM_CONFIG_DIR; \
	fi; \
	python -m dvc repro $(ARGS) && python -m segkit results

test: setup ## run the tests (ARGS=... goes to pytest)
	@$(IN_VENV) python -m pytest $(ARGS)

lint: setup ## check the code's style with ruff
	@$(IN_VENV) python -m ruff check . $(ARGS)

tensorboard: setup ## show the training curves on this machine (ARGS="--port 6007" for another port)
	@$(IN_VENV) python -m tensorboard.main --logdir runs --host 127.0.0.1 $(ARGS)

# uv, from a venv that is thrown away, because it resolves for every platform and Python at once; `fewest` keeps
# one version of numpy for all Pythons, so that results do not depend on the Python.
lock: ## remake requirements.lock from pyproject.toml (ARGS=--upgrade for newer versions)
	@$(FIND_PYTHON) \
	tools=$$(mktemp -d) || exit 1; trap 'rm -rf "$$tools"' EXIT; \
	"$$found" -m venv "$$tools" && "$$tools/bin/python" -m pip --disable-pip-version-check install --quiet uv && \
	"$$tools/bin/uv" pip compile pyproject.toml --extra pipeline --extra test --no-config \
		--universal --python-version 3.11 --fork-strategy fewest --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock $(ARGS) && echo "Wrote requirements.lock"
