# Everything a developer runs. Each target sets up what it needs: a virtual environment in .venv
# with what requirements.lock names. Only Python 3.11+ and a package index must be there already.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
# For the program or for pytest: make demo ARGS=--help, make test ARGS="-k parse"
ARGS ?=
# Of these files `make test` runs some tests only.
FAULTS := $(wildcard tests/integration/test_*_faults.py) tests/e2e/test_demo.py \
	$(patsubst %,tests/integration/test_%.py,bomb campaign custom_formats expand failover incidents poison reread retention \
	settle_restart)
# How long `make fuzz` looks.
SECONDS ?= 600
# How many tests run at the same time.
TEST_WORKERS ?= 3
# Of those that wait for brokers and databases more than they work.
FAULT_WORKERS ?= 4

# Images of containers often set it, and then each process compiles the project's modules again.
unexport PYTHONDONTWRITEBYTECODE

# A user's own pip settings must not send packages past the virtual environment.
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/installed ## Show the product on a small mesh of real proxies (ARGS are passed)
	@$(VENV)/bin/mirrorproof demo $(ARGS)

.PHONY: test
test: $(VENV)/installed ## Run the tests and print branch coverage (ARGS go to pytest)
	@$(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal -m "not slow" --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: test-long
test-long: $(VENV)/installed ## Forty times as many generated cases, 2000 through the whole pipeline, every recording in every form, for nights
	@MIRRORPROOF_TEST_EXAMPLES=40 MIRRORPROOF_TEST_CASES=2000 $(PY) -m pytest -n $(TEST_WORKERS) --timeout 14400 \
		tests/unit tests/integration/test_settle_differential.py tests/integration/test_pipeline_differential.py \
		tests/integration/test_shipping.py tests/integration/test_settle_recordings.py \
		tests/e2e/test_check_recordings.py tests/facts/test_shipping.py $(ARGS)

.PHONY: test-openapi
test-openapi: $(VENV)/installed ## Ask the API fifty times as many odd questions by its own description (minutes)
	@MIRRORPROOF_TEST_EXAMPLES=50 $(PY) -m pytest -n $(TEST_WORKERS) --timeout 7200 tests/contract/test_openapi.py $(ARGS)

.PHONY: shipping
shipping: $(VENV)/installed ## Ship recorded traffic badly, and compare what is said with the truth (half an hour)
	@$(PY) -m tests.shipping $(ARGS)

# Kills and lines on each database.
KILLS ?= 200
LINES ?= 1000000

.PHONY: campaign
campaign: $(VENV)/installed ## Kill collectors with -9 under load, then compare (KILLS, LINES, ARGS)
	@$(PY) -m tests.campaign --kills $(KILLS) --lines $(LINES) $(ARGS)

.PHONY: simulate-incidents
simulate-incidents: $(VENV)/installed ## Simulate months of traffic: false incidents, time to detect drifts (minutes; ARGS)
	@$(PY) -m tests.incident_month $(ARGS)

.PHONY: test-faults
test-faults: $(VENV)/installed ## Have brokers and databases fail in every way; what takes long (minutes)
	@$(PY) -m pytest -n $(FAULT_WORKERS) --dist worksteal -m slow $(FAULTS) $(ARGS)

.PHONY: test-failover
test-failover: $(VENV)/installed ## Restart Apache Kafka and PostgreSQL, fail over to a standby; print how long it takes
	@$(PY) -m pytest -n 0 -m slow tests/integration/test_restart_faults.py tests/integration/test_database_faults.py \
		tests/integration/test_failover.py -k "restart or crash or failover or replaced" $(ARGS)

.PHONY: test-rebalances
test-rebalances: $(VENV)/installed ## Thirty changes of a group of 1 to 4 collectors under load; print how long partitions wait
	@MIRRORPROOF_TEST_CHANGES=30 $(PY) -m tests.servers $(PY) -m pytest -n 0 -m slow --timeout 3600 \
		tests/integration/test_group_faults.py -k come_and_go $(ARGS)

# Of event time, and what they take.
HOURS ?= 24
MINUTES ?= 20
SEED ?= 1

.PHONY: soak
soak: $(VENV)/installed ## A day in twenty minutes, with a fault every ten simulated ones (HOURS, MINUTES, SEED, ARGS)
	@$(PY) -m tests.soak --hours $(HOURS) --minutes $(MINUTES) --seed $(SEED) $(ARGS)

.PHONY: test-upgrade
test-upgrade: $(VENV)/installed ## Run the release before on today's schema, while lines flow (needs git history)
	@$(PY) -m pytest -m slow -rs tests/integration/test_upgrade.py $(ARGS)

# Not among the locked packages: its wheels are for few versions of Python.
.PHONY: fuzz
fuzz: $(VENV)/installed ## Look for input that breaks reading, with atheris (SECONDS=600)
	@$(PY) -m pip install --quiet --only-binary :all: --target $(VENV)/fuzz atheris || \
		{ echo "make fuzz: no wheel of atheris is for $$($(PY) --version): name another with PYTHON=…" >&2; exit 1; }
	@PYTHONPATH=$(VENV)/fuzz $(PY) -m tests.fuzz $(SECONDS)

# Its modules come once, from the module index that Go is set to; about five minutes.
.shippers/otelcol: $(wildcard tests/shippers/otelcol/*)
	@command -v go >/dev/null || { echo "make: no Go here: the OpenTelemetry collector is left out" >&2; exit 0; } && \
	mkdir -p .shippers && cd tests/shippers/otelcol && go build -trimpath -ldflags="-s -w" -o ../../../$@ .

.PHONY: test-shippers
test-shippers: $(VENV)/installed .shippers/otelcol ## Read from Apache Kafka what real shippers send there (rsyslog, OpenTelemetry)
	@$(PY) -m tests.servers $(PY) -m pytest -m slow tests/shippers $(ARGS)

.PHONY: test-page
test-page: $(VENV)/installed ## Open the page in a real browser, with pictures of each state (Debian: chromium)
	@if command -v chromium google-chrome >/dev/null; then \
		$(PY) -m pytest -m slow tests/page $(ARGS); \
	else echo "make: no Chromium here: the tests of the page in a browser are left out" >&2; fi

.PHONY: test-alertmanager
test-alertmanager: $(VENV)/installed ## Send to the real Alertmanager (Debian: prometheus-alertmanager)
	@if command -v prometheus-alertmanager >/dev/null; then \
		$(PY) -m pytest -m slow tests/integration/test_alertmanager.py $(ARGS); \
	else echo "make: no prometheus-alertmanager here: its tests are left out" >&2; fi

.PHONY: test-monitoring
test-monitoring: $(VENV)/installed ## Have the real Prometheus check rules and dashboard (Debian: prometheus)
	@if command -v promtool >/dev/null && command -v prometheus >/dev/null; then \
		promtool check rules deploy/chart/files/rules.yaml && promtool test rules tests/data/rules_test.yaml && \
		$(PY) -m pytest -m slow tests/integration/test_prometheus.py $(ARGS); \
	else echo "make: no prometheus or promtool here: the tests of rules and dashboard by them are left out" >&2; fi

# An engine that answers is used, else `dockerd` is started for the run, where it is installed.
.PHONY: test-image
test-image: $(VENV)/installed ## Build the image, run all parts from it, and compose.yaml (Debian: docker.io, debootstrap, docker-compose)
	@$(PY) -m pytest -m slow tests/image $(ARGS)

.PHONY: lint
lint: $(VENV)/installed ## Check style, types and the direction of imports
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

.PHONY: format
format: $(VENV)/installed ## Put the code into the common form
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

.PHONY: simulate
simulate: $(VENV)/installed ## Show how often watched shares are wrong, and how soon a loss is seen
	@$(PY) -m tests.simulate $(ARGS)

.PHONY: bench
bench: $(VENV)/installed ## Measure parsing, writing, collecting, check (ARGS="--only parse")
	@$(PY) -m tests.bench $(ARGS)

.PHONY: wheel
wheel: $(VENV)/installed ## Build the wheel into dist/
	@$(PY) -m hatchling build -t wheel

# Without addresses: whoever installs uses the index that their pip is set to.
.PHONY: lock
lock: ## Resolve all dependencies anew into requirements.lock
	@python=$$(sh -c "$$FIND_PYTHON") && tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	"$$python" -m venv "$$tools" && "$$tools/bin/python" -m pip install --quiet pip-tools && \
	CUSTOM_COMPILE_COMMAND="make lock" "$$tools/bin/python" -m piptools compile --quiet --upgrade \
		--extra postgres --extra fast --extra cluster --extra demo --extra test --strip-extras --allow-unsafe \
		--generate-hashes --no-annotate --no-emit-find-links --no-emit-index-url \
		--no-emit-trusted-host --output-file requirements.lock pyproject.toml

.PHONY: clean
clean: ## Remove all that was made: environment, caches, dist/
	rm -rf $(VENV) dist .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Prints the interpreter to use, the one that PYTHON names or the first that is new enough.
define FIND_PYTHON
if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; else
	set -- python3 python3.14 python3.13 python3.12 python3.11; fi
for python do
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
	"$$python" -c 'import venv, ensurepip' 2>/dev/null && echo "$$python" && exit
	bare="$$python"
done
if [ -n "$$bare" ]; then
	echo "make: $$bare has no venv or ensurepip: install them (on Debian: python3-venv)" >&2
else
	echo "make: no Python 3.11 or newer here ($$*): name one with make PYTHON=…" >&2
fi
exit 1
endef
export FIND_PYTHON PYTHON

# A virtual environment knows its own path: in a folder that was moved, or when its Python is
# gone, it is made again.
ifneq ($(shell $(PY) -c '' 2>/dev/null && cat $(VENV)/home 2>/dev/null),$(CURDIR))
$(shell rm -f $(VENV)/locked)
endif

$(VENV)/locked: requirements.lock
	@python=$$(sh -c "$$FIND_PYTHON") && rm -rf $(VENV) && \
	echo "make: setting up $(VENV), once; this takes about a minute" && "$$python" -m venv $(VENV)
	@# The lock names all there is; resolving again would ask for hashes of versions newer than it.
	@$(PY) -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	@$(PY) -m pip check >/dev/null
	@printf '%s\n' "$(CURDIR)" > $(VENV)/home && touch $@

$(VENV)/installed: $(VENV)/locked pyproject.toml
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
