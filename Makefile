# Options for the program behind a target go into ARGS: make run ARGS='--port 8080'
ARGS =
INSTALLED = .venv/.installed

.PHONY: help run test test-agents lint bench screenshots clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: $(INSTALLED) ## Start the proxy; without an API key the upstreams are simulated
	.venv/bin/llm-proxy --demo=auto $(ARGS)

test: $(INSTALLED) ## Run the tests
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

test-agents: $(INSTALLED) ## Run real agents against the proxy: installs those that can be had
	.venv/bin/python -m pytest -rs tests/agents $(ARGS)

lint: $(INSTALLED) ## Check style, format and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

bench: $(INSTALLED) ## Measure the proxy against bare mitmdump, a direct connection and peers
	.venv/bin/python -m bench $(ARGS)

screenshots: $(INSTALLED) ## Make the pictures of docs/inspect.md again; needs Chromium
	.venv/bin/python -m tests.screenshots

clean: ## Remove the virtual environment and all that tools have left
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that is there is kept if it runs: an upgrade of its Python breaks it.
$(INSTALLED): pyproject.toml
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { \
		python=$$(.ci/find-python) && \
		echo "Making .venv with $$python, this takes a minute ..." && \
		"$$python" -m venv --clear .venv; }
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
