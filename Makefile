# make help tells what there is. Needs GNU make and Python 3.11 or newer, nothing else.

VENV := .venv
PY := $(VENV)/bin/python
MODEL := $(VENV)/models/SmolLM2-135M-Instruct.Q4_1.gguf

# Over the cores, a file's tests together, in the order of conftest.py.
SHARED_OUT := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What is compiled is kept, for the many processes that import it.
export PYTHONDONTWRITEBYTECODE :=

# The first Python that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

.DEFAULT_GOAL := help
.PHONY: help run models pictures test test-fast test-chaos check bench clean

help: ## Show this
	@echo 'make run        start all of AgentFlare on this machine; Ctrl-C stops it'
	@echo '                PORT=8000 and SANDBOX_DIR=.sandbox choose port and data folder'
	@echo 'make models     small models for embeddings and speech in the stand-in (590 MB)'
	@echo 'make test       all tests, in half an hour'
	@echo 'make test-fast  the apps alone, each test once, without whole sandboxes: two minutes'
	@echo 'make test-chaos load while everything is killed and stopped, then the sums; SEED, SECONDS'
	@echo 'make check      lint, format, types, imports, migrations'
	@echo 'make bench      measure: latency, throughput, streams; some minutes'
	@echo 'make pictures   the pictures of README, taken anew from a sandbox'
	@echo 'make clean      remove what make has installed; data in .sandbox stays'
	@echo 'PYTHON=python3.12 chooses the Python for .venv. More: sandbox/README.md'

# exec: a signal to make reaches the sandbox itself, not a shell in between.
run: $(VENV)/.installed
	@if [ -z "$$SANDBOX_SCRIPTED" ] && [ ! -e $(MODEL) ]; then $(PY) -m sandbox.install.model; fi
	@exec $(PY) -m sandbox run

models: $(VENV)/.installed
	@exec $(PY) -m sandbox.install.models

test: $(VENV)/.installed-dev
	@SANDBOX_TEMPLATE=1 exec $(PY) -m pytest $(SHARED_OUT)

test-fast: $(VENV)/.installed-dev
	@exec $(PY) -m pytest $(SHARED_OUT) \
		-m "not slow and not gateway and not variation" agentflare tenants billing inference agents

# SEED=7 SECONDS=600 choose the disasters, and for how long they go on.
test-chaos: $(VENV)/.installed-dev
	@CHAOS_SEED=$(or $(SEED),$$(date +%s)) CHAOS_SECONDS=$(or $(SECONDS),90) \
		$(PY) -m pytest -q -p no:cacheprovider inference/tests/chaos

pictures: $(VENV)/.installed-dev
	@exec $(PY) docs/images/take.py

bench: $(VENV)/.installed-dev
	@exec $(PY) -m bench

check: $(VENV)/.installed-dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@SECRET_KEY=x DATABASE_URL=postgresql://x/x REDIS_URL=redis://x $(PY) -m mypy  # its Django plugin reads the settings
	@$(VENV)/bin/lint-imports
	@$(PY) -m sandbox exec -- $(PY) manage.py makemigrations --check --dry-run
	@$(PY) -m sandbox exec -- $(PY) manage.py check

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- Installing: once, and again when the requirements change ---------------------

$(VENV)/.installed: requirements.txt sandbox/requirements.txt | $(PY)
	@$(PY) -m sandbox.install.packages $@ requirements.txt sandbox/requirements.txt

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(PY) -m sandbox.install.packages $@ requirements-dev.txt

$(PY):
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'make: Python 3.11 or newer is needed ($(or $(PYTHON),none found)); name one: PYTHON=/path/to/python3 make run' >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo 'make: $(PYTHON) cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv' >&2; exit 1; }
	@echo '  Making $(VENV) with $(PYTHON)'
	@"$(PYTHON)" -m venv --clear $(VENV)
