# Everything that this repository does by one word; `make` alone lists the words.
#
#   PYTHON  the one to start from, of Python 3.10 to 3.14; default: the newest of them that is found
#   STACK   onedl: the maintained continuations of mmdet, mmengine and mmcv (default); upstream: the last OpenMMLab releases
#   VENV    the folder of the environment; default: .venv, or .venv-upstream
#   JOBS    test processes; default: 2

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?=
STACK ?= onedl
JOBS ?= 2
PYTEST_ARGS ?=

ifeq ($(STACK),onedl)
VENV ?= .venv
REQUIREMENTS := requirements/runtime.txt
else ifeq ($(STACK),upstream)
VENV ?= .venv-upstream
REQUIREMENTS := requirements/upstream.txt
else
$(error STACK=$(STACK) is unknown: it is onedl or upstream)
endif

# The stamps are newer than what they stand for, and named after the stack: one folder never serves both.
INSTALLED := $(VENV)/.installed-$(STACK)
TESTS_INSTALLED := $(VENV)/.tests-installed-$(STACK)
TFLITE_INSTALLED := $(VENV)/tflite/.installed
SOAK_TESTS := $(addprefix tests/durability/,test_kill.py test_same_losses.py test_half_precision_training.py)
EXTRAS := requirements/tests.txt requirements/deploy.txt requirements/demo.txt

.PHONY: help quickstart install tflite test lint fuzz soak clean

help:
	@echo 'make quickstart   install, make the data, train, test and draw on a CPU: 10 to 25 minutes'
	@echo 'make install      only the environment $(VENV)'
	@echo 'make tflite       $(VENV)/tflite over it, for the tools that write .tflite'
	@echo 'make test         lint and the whole test suite; PYTEST_ARGS="-k word" for a part'
	@echo 'make soak         long trainings, many kills, memory over thousands of images, what saving costs: hours, by hand'
	@echo 'make lint         only ruff'
	@echo 'make fuzz         eight times as much broken input as in make test'
	@echo 'make clean        remove the environments and caches; runs in work_dirs/ stay'
	@echo 'Variables: PYTHON=python3.13  STACK=onedl|upstream  VENV=folder  JOBS=2'

quickstart: $(INSTALLED)
	$(VENV)/bin/python tools/quickstart.py

install: $(INSTALLED)
	@echo 'Ready: $(VENV)/bin/python'

tflite: $(TFLITE_INSTALLED)
	@echo 'Ready: $(VENV)/tflite/bin/python'

# One thread a process: the test processes share the cores already.
test: lint
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

# By hand, on a machine that does nothing else; all of it, also after something failed. One test trains its model on.
soak: $(TESTS_INSTALLED)
	$(VENV)/bin/python tools/quickstart.py --config configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py
	@mkdir -p work_dirs; set -o pipefail; export OMP_NUM_THREADS=1; { code=0; \
	SOAK=1 $(VENV)/bin/python -m pytest -s $(SOAK_TESTS) || code=1; \
	$(VENV)/bin/python -m tests.durability.soak || code=1; \
	$(VENV)/bin/python -m tests.durability.measure_saving || code=1; \
	exit $$code; } 2>&1 | tee work_dirs/soak.log

lint: $(TESTS_INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

fuzz: $(TESTS_INSTALLED)
	OMP_NUM_THREADS=1 FUZZ_TIMES=8 $(VENV)/bin/python -m pytest -n $(JOBS) -rP $(PYTEST_ARGS) tests/fuzz

clean:
	rm -rf .venv .venv-upstream build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): $(REQUIREMENTS) pyproject.toml tools/setup/install.sh
	@tools/setup/install.sh '$(VENV)' '$(REQUIREMENTS)' '$(PYTHON)'
	@touch $@

# An environment that sees the other's packages, by pip, which counts these as installed.
$(TFLITE_INSTALLED): requirements/tflite.txt requirements/deploy.txt $(INSTALLED)
	@tools/setup/install.sh '$(VENV)' '$(REQUIREMENTS)' '$(PYTHON)' requirements/deploy.txt
	$(VENV)/bin/python -m venv --clear $(VENV)/tflite
	below=$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	above=$$($(VENV)/tflite/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	echo "import site; site.addsitedir('$$below')" >"$$above/below.pth"
	$(VENV)/tflite/bin/python -m pip install --no-compile --requirement requirements/tflite.txt --constraint '$(REQUIREMENTS)'
	@touch $@

# Tests try everything: the export and the demos too.
$(TESTS_INSTALLED): $(EXTRAS) $(INSTALLED)
	@tools/setup/install.sh '$(VENV)' '$(REQUIREMENTS)' '$(PYTHON)' $(EXTRAS)
	@touch $@
