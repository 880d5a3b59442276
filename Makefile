# make demo: the story of the README in three minutes. make test: the checks.
# Both make their own .venv here. Once the packages are installed nothing needs the network:
# a later call rebuilds and reinstalls only lazyrich's own wheel, and only if a source changed.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

PACKAGES := lazyrich theory simulate verify paper_figures
# The folders are listed with their files, so that a file's removal counts as a change.
SOURCES := $(shell find $(PACKAGES) -name __pycache__ -prune -o \( -type d -o -type f \) -print) \
	setup.cfg pyproject.toml README.md LICENSE

.PHONY: demo test lint style docs bench seeds faults attack dev clean

# The story of the README, with a line on each step. Needs about two minutes of one core.
demo: $(VENV)/.installed
	@mkdir -p demo
	@$(call step,1 of 5,Your formula: is it right?)
	@$(BIN)/lazyrich check ntk-eigenvalues.radial "epsilon^2 sigma^2/D (1 + 1/D)" || [ $$? -eq 1 ]
	@$(call step,2 of 5,Your network: will it grok?)
	@$(BIN)/python docs/demo_network.py demo/data.npz
	@PYTHONPATH=docs $(BIN)/lazyrich diagnose demo_network:make --data demo/data.npz --report demo/network.html
	@$(call step,3 of 5,The network of Figure 1 of the paper: when will it grok$(comma) and does it?)
	@$(BIN)/lazyrich predict --D 100 --P 550 --alpha 1 --epsilon 0.02
	@$(BIN)/lazyrich simulate --out demo/grokking.nc --plot demo/grokking.png
	@$(call step,4 of 5,Are the equations of the paper right?)
	@$(BIN)/lazyrich verify eq- --jobs 2 --report demo/verdicts.html >demo/verdicts.txt
	@grep 'claims:' demo/verdicts.txt
	@$(call step,5 of 5,The figure of the paper$(comma) drawn from scratch)
	@$(BIN)/lazyrich figures 1 --preset quick --jobs 2 --out demo
	@printf '\nOpen demo/index.html: the figure with what it shows. demo/network.html is the answer on the\n'
	@printf 'network, and demo/verdicts.html has the verdicts on the equations.\n'

comma := ,
step = printf '\n--- Step %s. %s\n\n' "$(1)" "$(2)"

# The tests run against the installed wheel: PYTHONSAFEPATH keeps the checkout's folders off
# sys.path (also in the processes that tests start), and tests/test_package.py checks it.
test: export PYTHONSAFEPATH = 1
test: export LAZYRICH_TEST_INSTALLED = 1
# Empty: else each process that a test starts compiles the tests and their assertions anew.
test: export PYTHONDONTWRITEBYTECODE =
test: style
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

style: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/prose.py

# pyright, which is one of the tests, brings its own node and compiler; IGNORE_WARNINGS keeps it from
# asking for news online.
lint: style
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

# The ledger at 30 seeds: what docs/seeds.md lacks, or has from checks that changed since. An hour
# from scratch on two quiet cores; it can be stopped and goes on. SEEDS=3 CLAIMS="law- lyu" for less.
seeds: $(VENV)/.installed
	$(BIN)/python -m lazyrich.verify.seeds docs/seeds.md $(CLAIMS) --seeds $(or $(SEEDS),30) --jobs 2

# Plant faults in core files and print how many the tests notice: hours; a second call goes on.
# ROOMS=grammar,flow SAMPLE=10 for less.
faults: $(VENV)/.installed-dev
	$(BIN)/python tests/faults.py --jobs 2 --sample $(or $(SAMPLE),50) \
		$(if $(ROOMS),--rooms $(ROOMS)) --out faults.jsonl

# Every property on new random examples for an hour; a call that was killed goes on. MINUTES=6 for less.
attack: $(VENV)/.installed-dev
	$(BIN)/python tests/attack.py --jobs 2 --minutes $(or $(MINUTES),60) --out attack.md

docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks

# An editable install for work on the code. The next make test puts the wheel back.
dev: $(VENV)/.installed-dev
	rm -f $(VENV)/.installed
	$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=strict -e .

clean:
	rm -rf build dist demo docs/_build *.egg-info

# setuptools comes from constraints.txt too, so that building the wheel downloads nothing.
$(VENV)/.tools: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt setuptools
	touch $@

# build/ would carry modules into the wheel that no longer exist.
dist/.built: $(SOURCES) $(VENV)/.tools
	rm -rf build dist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	touch $@

$(VENV)/.installed: dist/.built
	$(PIP) install --no-deps --force-reinstall --no-index dist/lazyrich-*.whl
	$(PIP) install --constraint constraints.txt dist/lazyrich-*.whl
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --constraint constraints.txt \
		"$$(echo dist/lazyrich-*.whl)[figures,cluster,explore,dev,docs]"
	touch $@
