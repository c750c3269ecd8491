# The front door. `make` alone prints this help; what a target needs is installed on first use.
DATASET ?= auto
PROFILE ?= full
CORES ?=
SEEDS ?=
PRECISION ?= float32
FRESH ?=
PROFILE_DIR ?=
PYTHON ?= python3

UNKNOWN := $(filter-out DATASET PROFILE CORES SEEDS PRECISION FRESH PROFILE_DIR PYTHON,$(foreach v,$(MAKEOVERRIDES),$(firstword $(subst =, ,$(v)))))
ifneq ($(UNKNOWN),)
$(error unknown variable $(UNKNOWN); known are DATASET, PROFILE, CORES, SEEDS, PRECISION, FRESH, PROFILE_DIR and PYTHON)
endif

ifneq ($(and $(filter publish,$(MAKECMDGOALS)),$(CORES)$(SEEDS)$(FRESH)$(PROFILE_DIR)),)
$(error make publish takes DATASET, PROFILE and PRECISION only; with other variables run make reports first)
endif

# The container's environment is used, or an activated conda environment (other than base); otherwise a .venv of our own.
NOISY_DIGITS_ENVIRONMENT ?= $(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX))
ifneq ($(NOISY_DIGITS_ENVIRONMENT),)
BIN := $(NOISY_DIGITS_ENVIRONMENT)/bin
READY := installed
else
BIN := .venv/bin
READY := .venv/.ready
endif

.DEFAULT_GOAL := help
.PHONY: installed help reports quick readme publish params-reference test test-all test-faults test-slurm lint format bench lab clean

help: ## print this help
	@echo 'make TARGET [DATASET=auto|mnist|fashion_mnist|digits] [PROFILE=full|quick] [CORES=n] [SEEDS=n] [PRECISION=float32|mixed_bfloat16] [FRESH=1] [PROFILE_DIR=folder]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reports: $(READY) ## run every notebook over its grid and render reports/<collection>/index.html
	@'$(BIN)'/noisy-digits build --dataset '$(DATASET)' --profile '$(PROFILE)' --precision '$(PRECISION)' $(if $(CORES),--cores '$(CORES)') $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(filter-out 0,$(FRESH)),--fresh) $(if $(PROFILE_DIR),--profile-dir '$(PROFILE_DIR)')

quick: override PROFILE := quick
quick: reports ## the same with short trainings on little data: takes minutes, is no result

readme: $(READY) ## update the figures and verdicts in README.md from the results
	@'$(BIN)'/noisy-digits readme --dataset '$(DATASET)' --profile '$(PROFILE)' --precision '$(PRECISION)' $(if $(SEEDS),--seeds '$(SEEDS)')

publish: $(READY) ## build DATASET from a clean tree, check that it belongs together, update README.md
	@'$(BIN)'/noisy-digits publish --dataset '$(DATASET)' --profile '$(PROFILE)' --precision '$(PRECISION)'

params-reference: $(READY) ## update docs/params.md, the reference of params files, from the code
	@'$(BIN)'/noisy-digits params-reference > docs/params.md

test: $(READY) ## run the tests that every change needs: minutes
	@'$(BIN)'/python -m pytest --numprocesses auto --dist loadfile

test-all: $(READY) ## run all tests but those of faults and SLURM, and show which lines of the package they cover
	@'$(BIN)'/python -m pytest -m 'not faults and not slurm' --numprocesses auto --dist loadfile --no-loadscope-reorder --cov --cov-report=term

test-faults: $(READY) ## kill builds, fill disks, take memory away: half an hour
	@'$(BIN)'/python -m pytest -m faults

test-slurm: $(READY) ## build on a SLURM cluster of two nodes made for the test, and kill one of them
	@'$(BIN)'/python -m pytest -m slurm -s

lint: $(READY) ## check style, layers, types and notebooks
	@'$(BIN)'/ruff check
	@'$(BIN)'/ruff format --check
	@'$(BIN)'/lint-imports
	@'$(BIN)'/basedpyright
	@'$(BIN)'/nbstripout --verify notebooks/*/*.ipynb

format: $(READY) ## mend what lint would refuse in the style of code and notebooks
	@'$(BIN)'/nbstripout notebooks/*/*.ipynb
	@'$(BIN)'/ruff check --fix
	@'$(BIN)'/ruff format

bench: $(READY) ## measure trainings (plain Keras against ours) and builds; write benchmarks/README.md
	@'$(BIN)'/python -m benchmarks

lab: $(READY) ## open the notebooks in JupyterLab
	@NOISY_DIGITS_PRECISION='$(PRECISION)' NOISY_DIGITS_FRESH='$(FRESH)' TF_ENABLE_ONEDNN_OPTS=1 '$(BIN)'/jupyter lab notebooks

clean: ## remove what builds wrote into results and reports, and nothing that git tracks
	@git clean -fdXq results reports || { echo 'Without git nothing tells the published study from other collections: remove their folders in results and reports yourself.' >&2; exit 1; }
	@rm -rf .snakemake

installed:
	@'$(BIN)/python' -c 'import os, sys, noisy_digits._cli, snakemake; os.stat(sys.prefix + "/etc/ipython/ipython_kernel_config.py")' \
	    2>/dev/null || { \
	    '$(BIN)/python' -m pip install --quiet --require-hashes --requirement requirements.lock && \
	    PATH='$(BIN)':"$$PATH" ./postBuild; }

.venv/.ready: requirements.lock pyproject.toml postBuild workflow/ipython_kernel_config.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d; name one with: make PYTHON=python3.12" % v)'
	@echo 'Installing the environment into .venv, once …'
	@rm -rf .venv
	@{ command -v uv >/dev/null && \
	    uv venv --quiet --seed --python '$(PYTHON)' .venv && \
	    uv pip install --quiet --python .venv --require-hashes --requirement requirements.lock; } || { \
	    $(PYTHON) -m venv --clear .venv && \
	    .venv/bin/pip install --quiet --require-hashes --requirement requirements.lock; }
	@PATH='$(CURDIR)/.venv/bin':"$$PATH" ./postBuild
	@touch $@
