# Two commands do it all: `make lab` opens the lab, `make test` tests it.
# All that they make lies in .venv and .labs; `make clean` removes both.

PYTHON ?= python3
# So many tests run side by side, each with a broker and a database of its own; but nothing runs
# beside the judge, who has a program's patience to tell from a machine's.
SIDE_BY_SIDE ?= 2
JUDGED := tests/judge tests/exercises
IN_VENV := .venv/bin/

.DEFAULT_GOAL := help
.PHONY: help lab test test-brokers check bench judge-score lock strip clean venv venv-dev

help: ## Say what can be made
	@echo "Queue Labs. Type make and one of:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1	\2/p' Makefile | expand -t 16

lab: venv ## Open the lab: broker, notebooks; Ctrl-C stops what it started
	@$(IN_VENV)labs lab

test: venv-dev check ## Run all tests, notebooks included, on a real broker that they start
	@$(IN_VENV)python -m pytest $(JUDGED); judged=$$?; \
	$(IN_VENV)python -m pytest --numprocesses $(SIDE_BY_SIDE) --no-loadscope-reorder \
		$(addprefix --ignore=,$(JUDGED)) && exit $$judged

test-brokers: venv-dev ## Run the version table, qprocessor, notebooks and exercises on RabbitMQ 3.10, 4.0, 4.3
	@$(IN_VENV)python -m tests.brokers

check: venv-dev ## Check style and types
	@$(IN_VENV)ruff check
	@$(IN_VENV)ruff format --check --quiet
	@$(IN_VENV)mypy

bench: venv-dev ## Measure (three quarters of an hour): qprocessor and the systems beside others, broker, proxy, judge
	@$(IN_VENV)python -m benchmarks
	@$(IN_VENV)python -m benchmarks.startup
	@$(IN_VENV)python -m benchmarks.proxy
	@$(IN_VENV)python -m benchmarks.judge
	@$(IN_VENV)python -m benchmarks.jobs
	@$(IN_VENV)python -m benchmarks.requests
	@$(IN_VENV)python -m benchmarks.tasks
	@$(IN_VENV)python -m benchmarks.queue_service

judge-score: venv-dev ## Judge the judge (hours): wrong and right programs, 50 times each
	@$(IN_VENV)python -m benchmarks.judge_score

strip: venv-dev ## Take the outputs out of the notebooks, before a commit
	@$(IN_VENV)nbstripout notebooks/*.ipynb

# Hosts of package registries stay out of the lock files: they are of whoever runs this.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links pyproject.toml --extra install \
	--extra job-queue --extra request-queue --extra task-queue --extra queue-service --extra local-s3

lock: venv-dev ## Pin the dependencies of pyproject.toml anew, with hashes
	@$(IN_VENV)$(LOCK) --output-file requirements.txt
	@$(IN_VENV)$(LOCK) --extra dev --extra bench --constraint requirements.txt --output-file requirements-dev.txt

clean: ## Stop the lab's broker; remove .venv and .labs
	@if [ -x $(IN_VENV)labs ]; then $(IN_VENV)labs down --wipe; fi
	rm -rf .venv .labs

venv: python
	@$(PYTHON) labs/bootstrap.py requirements.txt

venv-dev: python
	@$(PYTHON) labs/bootstrap.py requirements-dev.txt

.PHONY: python
python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 or newer, or name one: make lab PYTHON=/path/to/python3"; exit 1; }
