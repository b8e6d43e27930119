# Every target does its own set-up. PYTHON=/path/to/python3 names the Python to begin with.
.PHONY: help setup run test check bench chaos lock

help:
	@echo "make run     start Spaza with the demo, until Ctrl-C"
	@echo "make test    all tests, or those that ARGS names"
	@echo "make check   ruff, strict types, import contract"
	@echo "make bench   measure against the fair peer, the mailbox against RabbitMQ, the shards against asyncpg, and parts alone"
	@echo "make chaos   kill every part in the middle of 2,000 messages, at random 100 times, and under a million;"
	@echo "             less of it with CHAOS_MESSAGES, CHAOS_KILLS and CHAOS_BACKLOG"
	@echo "make lock    write requirements.lock anew from pyproject.toml"

setup:
	@PYTHON="$(PYTHON)" sh scripts/setup.sh

run: setup
	@.venv/bin/spaza up

test: setup
	@.venv/bin/python -m pytest $(ARGS) || { status=$$?; echo $$status > $${TEST_STATUS:-/dev/null}; exit $$status; }

check: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: setup
	@.venv/bin/python -m benchmarks
	@.venv/bin/python -m benchmarks broker
	@.venv/bin/python -m benchmarks units
	@.venv/bin/python -m benchmarks gateway
	@.venv/bin/python -m benchmarks limiter
	@.venv/bin/python -m benchmarks tenants
	@.venv/bin/python -m benchmarks move

chaos: setup
	@CHAOS_MESSAGES=$${CHAOS_MESSAGES:-2000} CHAOS_KILLS=$${CHAOS_KILLS:-100} CHAOS_BACKLOG=$${CHAOS_BACKLOG:-1000000} \
		.venv/bin/python -m pytest -s \
		tests/journeys/test_kills.py tests/cluster/test_chaos.py tests/cluster/test_backlog.py

lock: setup
	@sh scripts/lock.sh
