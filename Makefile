# `make` lists what there is. Needs make, Python 3.11 to 3.14 with venv, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip install -qq --disable-pip-version-check --no-input --require-hashes --only-binary :all:
INSTALL := $(BIN)/python $(PIP)
# Nothing but what `make run` installs, for measuring.
SERVED := $(VENV)-bench
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"

.DEFAULT_GOAL := help
.PHONY: help run test screenshots attack audit bench growth servers chaos load lint format requirements clean

help: ## List the targets
	@awk -F ': .*## ' '/^[a-z]+: .*## / { printf "make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Whoever has HTTPS in front says HTTPS_ONLY=true.
run: export HTTPS_ONLY ?= false
run: $(VENV)/.runtime ## Make what is missing (secrets, keys, database, a demo) and serve
	@$(BIN)/python manage.py init --demo
	@$(BIN)/python manage.py serve

test: $(VENV)/.development ## Run all tests on SQLite, then on PostgreSQL, and show what they did not reach
	$(BIN)/python -m pytest -n auto --cov --cov-report=
	$(BIN)/python -m tests.postgres $(BIN)/python -m pytest -n auto --cov --cov-append --cov-report=term

MINUTES ?= 1
load: $(VENV)/.development ## Let 500 clients, some of them rude, loose on a server for MINUTES=1, and count what fails
	@$(BIN)/python -m tests.load --minutes $(MINUTES)

KILLS ?= 5
chaos: $(VENV)/.development ## Kill workers, server and database under load, KILLS=5 times each, and count what was lost
	@$(BIN)/python -m tests.chaos --kills $(KILLS)

SEED ?= 1
attack: $(VENV)/.development ## Try what attackers try, then every operation with Schemathesis (SEED=1), and count the inputs
	@$(BIN)/python -m tests.attacks --seed $(SEED)

audit: $(VENV)/.development ## Look all pins up in OSV, a database of vulnerabilities (needs the network)
	@$(BIN)/python -m tests.audit

# The servers run on what `make run` installs: some libraries load more where they find more.
bench: $(VENV)/.development $(SERVED)/.runtime ## Measure how fast it is (BENCH="--db sqlite --rounds 3" for options)
	@$(BIN)/python -m tests.bench --python $(CURDIR)/$(SERVED)/bin/python $(BENCH)

growth: $(VENV)/.development ## Measure every route with up to ten million rows (GROWTH="--db sqlite" for options)
	@$(BIN)/python -m tests.bench.growth $(GROWTH)

servers: $(VENV)/.development ## Show what holds of two servers behind nginx with one PostgreSQL and one Redis
	@$(BIN)/python -m tests.bench.two_servers

screenshots: $(VENV)/.development ## Write the README's pictures with chromium, into docs/images
	$(BIN)/python -m tests.browser.screenshots

# Django's own checks see neither .env nor var/, but a first run in a folder that is deleted afterwards.
lint: export ENV_FILE = /dev/null
lint: $(VENV)/.development ## Check style, types, directions of imports, migrations, and the settings for production
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT INT TERM && \
	manage() { \
		echo "manage.py $$*" && \
		env -i PATH="$$PATH" DEBUG=false ENV_FILE="$$folder/env" DATABASE_URL="sqlite:///$$folder/registry.sqlite3" \
			EDI_JWT_PRIVATE_KEY_PATH="$$folder/edi.pem" PASTA_PRIVATE_KEY_PATH="$$folder/pasta.pem" \
			$(BIN)/python manage.py "$$@"; \
	} && \
	manage init >"$$folder/log" && \
	manage makemigrations --check --dry-run && \
	manage check --deploy --fail-level WARNING

format: $(VENV)/.development ## Fix what can be fixed without thinking
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

requirements: $(VENV)/.development ## Pin the newest releases that requirements*.in allow
	$(COMPILE) requirements.in --output-file requirements.txt
	$(COMPILE) requirements-otel.in --output-file requirements-otel.txt
	$(COMPILE) requirements-granian.in --output-file requirements-granian.txt
	$(COMPILE) requirements-dev.in --output-file requirements-dev.txt

clean: ## Delete the virtual environment, caches and coverage; keep .env and var/
	rm -rf $(VENV) $(SERVED) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || \
		{ echo "$(PYTHON) is missing, or none of 3.11 to 3.14, which all pinned packages have wheels for;" \
		"name one that is: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	@echo "Installing $<"
	@$(INSTALL) -r $<
	@touch $@

$(SERVED)/.runtime: requirements.txt | $(BIN)/python
	@echo "Installing $< into $(SERVED)"
	@$(PYTHON) -m venv --clear $(SERVED)
	@$(SERVED)/bin/python $(PIP) -r $<
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing $<"
	@$(INSTALL) -r $<
	@touch $@
