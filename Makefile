# make demo   runs a real job through a throw-away proxy, CE and client
# make test   ruff, mypy, the manual and the tests, four minutes on two cores
# make doc    the manual, in doc/_build/html, and the man pages, in doc/_build/man
# make soak   the tests of real processes with the full numbers
# make browser shows the status page to a real browser
# make faults everything that may break is broken, and nothing is lost
# make dist   the wheel and the source distribution, in dist/
# make deb    the Debian package of this machine's release of Debian, in dist/
# make rvgahp_client.pyz   the client in one file, in dist/
#
# Each does all its set-up in .venv, from any Python >= 3.10: PYTHON=python3.12 make test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find rvgahp twisted -name '*.py' -o -path 'rvgahp/page/*' 2>/dev/null) setup.py pyproject.toml

.PHONY: demo test lint trial soak browser faults doc html man bench
.PHONY: dist deb rvgahp_client.pyz packages news clean

demo: $(VENV)/.installed
	@$(BIN)/rvgahp demo

test: lint doc trial

lint: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The installed package is tested, not the tree.  -b: bytes and str are never confused.
trial: $(VENV)/.tools
	$(BIN)/python -b -W error contrib/trial-installed.py $(TESTS)

# The tests of real processes with the full numbers, and the fuzz: fifteen minutes on two cores.
soak: $(VENV)/.tools
	RVGAHP_SOAK=1 $(BIN)/python -b -W error contrib/trial-installed.py \
	    $(or $(TESTS),$(patsubst tests/%.py,tests.%,$(wildcard tests/test_whole_*.py)) \
	    tests.test_gridmanagerfuzz tests.test_mapdifferences tests.test_mapregex)

# The status page in Chromium without a window (Debian: chromium, chromium-driver): a minute and a
# half on two cores.
browser: $(VENV)/.tools
	RVGAHP_BROWSER=1 $(BIN)/python -b -W error contrib/trial-installed.py \
	    $(or $(TESTS),tests.test_pagebrowser)

# Nothing is lost, whatever happens: every byte cut, 10,000 sessions under kills, cuts and
# stops, and the full numbers of resumption: three quarters of an hour on two cores.
# RVGAHP_FAULTS_SECONDS, _SESSIONS and _SEED say otherwise.
faults: $(VENV)/.tools
	RVGAHP_SOAK=1 RVGAHP_FAULTS_SESSIONS=$${RVGAHP_FAULTS_SESSIONS:-10000} \
	    RVGAHP_FAULTS_SECONDS=$${RVGAHP_FAULTS_SECONDS:-7200} \
	    $(BIN)/python -b -W error contrib/trial-installed.py \
	    $(or $(TESTS),tests.test_faultlink tests.test_whole_faults tests.test_whole_resumption)

doc: html man

# Nothing is fetched.  A warning is an error, as is a reference that leads nowhere.
html man: $(VENV)/.tools
	$(BIN)/sphinx-build -W --keep-going -q -d doc/_build/doctrees -b $@ doc doc/_build/$@

bench: $(VENV)/.installed
	$(BIN)/python bench/bench.py $(BENCH)

dist: $(VENV)/.dist
	rm -f dist/rvgahp-*
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/rvgahp-*

deb: man
	contrib/make-deb

# It is compiled by the Python that is to run it.
CLIENT_PYTHON ?= /usr/bin/python3
rvgahp_client.pyz:
	$(CLIENT_PYTHON) contrib/make-client-pyz.py dist/$@ $(CLIENT_PYTHON)

# All that can be installed is built, looked into, and tried: three minutes.
packages: $(VENV)/.tools $(VENV)/.dist
	RVGAHP_PACKAGES=1 $(BIN)/python -b -W error contrib/trial-installed.py tests.test_packages

# What the next release's part of NEWS.rst would be.
news: $(VENV)/.tools
	@$(BIN)/towncrier build --draft --version NEXT

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or later is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(SOURCES)
	@rm -rf build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[test,lint,doc]'
	@touch $@

$(VENV)/.dist: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[dist]'
	@touch $@

clean:
	rm -rf $(VENV) build dist rvgahp.egg-info doc/_build _trial_temp* .mypy_cache .ruff_cache .hypothesis
