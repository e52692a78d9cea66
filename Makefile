# One-word commands for the project; `make` alone lists them.
# GNU make 3.81 or newer, on Linux and macOS. Paths are relative, so a folder with spaces is fine.

.DEFAULT_GOAL := help
.PHONY: help setup repro oxford test lint tensorboard lock

ARGS ?=
PYTHON ?=
PYTHONS = $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3.14 python3)

export DVC_NO_ANALYTICS := 1
# Settings that would add packages from elsewhere, or install ours elsewhere.
unexport PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT
unexport UV_INDEX UV_INDEX_URL UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_TORCH_BACKEND

# Runs tools/environment.py with the first of PYTHONS that can make a venv. Each is tried by running it, because a
# version manager's shim may be on PATH without a Python behind it.
ENVIRONMENT = for python in $(PYTHONS); do \
	if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then exec "$$python" tools/environment.py $(1); fi; done; \
	echo "error: no Python 3.11 or newer with its venv module among:" $(PYTHONS)"; install one (Debian, Ubuntu:" \
	"apt install python3-venv), or name it: make setup PYTHON=/path/to/python3" >&2; exit 2

# Puts .venv first, so that `python` in dvc.yaml is the project's own.
IN_VENV = PATH="$$PWD/.venv/bin:$$PATH"; export PATH;

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r name what; do \
		printf '  make %-12s %s\n' "$$name" "$$what"; done

setup: ## build .venv from requirements.lock (PYTHON=... names the Python to use)
	@$(call ENVIRONMENT,setup)

repro: setup ## run the pipeline (dvc repro), then show the results (ARGS=... goes to dvc repro)
	@$(IN_VENV) python tools/repro.py $(ARGS) && python -m segkit results

oxford: setup ## train on Oxford-IIIT Pet at 256 px: downloads 810 MB (ARGS=... goes to dvc exp run)
	@$(IN_VENV) python -m dvc exp run --name oxford-pet --set-param data.source=oxford_pet \
		--set-param preprocess.size=256 --set-param train.epochs=30 $(ARGS) && python -m segkit results

test: setup ## run the tests (ARGS=... goes to pytest)
	@$(IN_VENV) python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup ## check the code's style with ruff
	@$(IN_VENV) python -m ruff check . $(ARGS)

tensorboard: setup ## show the training curves on this machine (ARGS="--port 6007" for another port)
	@$(IN_VENV) python -m tensorboard.main --logdir runs --host 127.0.0.1 $(ARGS)

lock: ## remake requirements.lock from pyproject.toml (ARGS=--upgrade for newer versions)
	@$(call ENVIRONMENT,lock $(ARGS))
