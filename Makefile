# The tasks of a checkout; `make` lists them. Each sets up what it needs, in .venv, and is quick when nothing changed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
ARGS ?=
# Processes for the tests: more than there are cores, since half of the time they wait.
WORKERS ?= 3
# Where to find a Chromium for the browser tests: a path, or names to look for on PATH.
CHROMIUM ?= chromium chromium-browser google-chrome google-chrome-stable
# Likewise a Redis 7 or Valkey, which the tests start themselves.
REDIS_SERVER ?= redis-server valkey-server

export PYTHONNOUSERSITE := 1
# The last of these would make every server that a test starts compile all of it.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

##@ Use

.PHONY: demo
demo: .venv/run.stamp web ## start a server with the simulated model; make demo ARGS=--script plays the story in the terminal
	@$(BIN)/tokentape demo $(ARGS)

##@ Develop

.PHONY: test
test: ## check, then run every test except the soak tests; ARGS go to pytest
	@$(MAKE) --keep-going -j3 $(whole-output) typescript check compiled programs || \
	  { echo "Not tested: what failed before is above, in lines that begin with 'make' and have '***'." >&2; exit 1; }
	@$(with-programs) $(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)
	@echo "Checks and tests passed."

.PHONY: check
check: format-check lint types layers spelling dependencies repository ## everything that can be judged without running tokentape

.PHONY: typescript
typescript: typescript-client typescript-pages ## build, measure and test the TypeScript client, and the pages that use it

.PHONY: web
web: ## build the pages of the server, in web/, into the Python package
	@scripts/web

.PHONY: fmt
fmt: .venv/dev.stamp ## format the code and mend what the linter can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

.PHONY: bench
bench: .venv/dev.stamp ## measure tokentape and its peers, about 20 minutes (after bench-setup); ARGS=--quick: 3 minutes
	@$(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: bench-setup
bench-setup: ## build the load client and install what the benchmarks compare with, into .bench
	@scripts/bench-setup

.PHONY: soak
soak: .venv/dev.stamp programs ## run the long tests, marked `soak`; ARGS go to pytest
	@$(with-programs) $(BIN)/pytest -m soak --timeout 0 $(ARGS)

##@ Release

.PHONY: lock
lock: .venv/lock.stamp ## bring requirements/*.txt up to date with pyproject.toml; ARGS=--upgrade takes newer versions
	@$(compile) pyproject.toml --group dev -o requirements/dev.txt
	@$(compile) pyproject.toml --constraints requirements/dev.txt -o requirements/run.txt
	@$(compile) requirements/build.in --constraints requirements/dev.txt -o requirements/build.txt
	@$(compile) requirements/lock.in -o requirements/lock.txt
	@for name in nodejs bench bench-litellm; do $(compile) requirements/$$name.in -o requirements/$$name.txt || exit; done

.PHONY: package
package: .venv/dev.stamp ## build the wheel and the source distribution into dist/
	@$(BIN)/hatchling build --clean

.PHONY: clean
clean: ## remove the environment and everything else that was generated
	rm -rf .venv .bench dist build src/tokentape/server/web clients/typescript/dist clients/typescript/test/readme examples/*/dist examples/nextjs/.next .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## "; print "make TARGET [ARGS=…] [PYTHON=/path/to/python]" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The parts of `check`; `make -k -j2 check` runs all of them, two at a time. Packages for Node.js are installed beside
# those for Python, and what each part says stays together, where this `make` can do that.

whole-output = $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: format-check lint types layers spelling dependencies repository
format-check: .venv/dev.stamp
	@$(BIN)/ruff format --check .
lint: .venv/dev.stamp
	@$(BIN)/ruff check .
types: .venv/dev.stamp
	@$(BIN)/mypy
layers: .venv/dev.stamp
	@$(BIN)/lint-imports --no-logo
spelling: .venv/dev.stamp
	@$(BIN)/codespell
dependencies: .venv/dev.stamp
	@$(BIN)/deptry src
repository: .venv/dev.stamp
	@$(BIN)/pytest -q -p no:randomly tests/project/test_repository.py

# Compiled once here, and not by each process of the tests: pytest takes a while to rewrite all of its assertions.

.PHONY: compiled
compiled: .venv/dev.stamp
	@said=$$($(BIN)/pytest --collect-only -qq) || { echo "$$said"; exit 1; }

# The parts of `typescript`, each as soon as the packages that it needs are there.

.PHONY: typescript-built typescript-client typescript-pages
typescript-built: node-packages/tests/clients node-packages/clients/typescript
	@$(with-nodejs) npm run --prefix clients/typescript --silent build
typescript-client: typescript-built .venv/dev.stamp
	@for part in types size lint:package unit; do $(with-nodejs) npm run --prefix clients/typescript --silent $$part || exit; done
typescript-pages: typescript-built node-packages/web
	@scripts/web
	@$(with-nodejs) npm run --prefix web --silent check

# What the tests need beside Python: a missing program is installed, or the tests fail and say how to get it.

with-programs = CHROMIUM="$$(scripts/program chromium $(CHROMIUM))" \
  REDIS_SERVER="$$(scripts/program redis-server $(REDIS_SERVER))"

with-nodejs = PATH="$$(echo $(CURDIR)/tests/clients/node_modules/node-linux-*/bin):$$(scripts/nodejs)"

.PHONY: programs
programs: .venv/dev.stamp system-programs node-packages
	@# Playwright's own Node.js needs a library that a small system may lack.
	@$(BIN)/playwright --version >/dev/null 2>&1 || scripts/debian-install libatomic1

# Debian installs for one at a time: first for the environment, then what the tests start.
.PHONY: nodejs system-programs
nodejs: | .venv/folder
	@scripts/nodejs >/dev/null
system-programs: | .venv/folder
	@scripts/program chromium $(CHROMIUM) >/dev/null
	@scripts/program redis-server $(REDIS_SERVER) >/dev/null
	@# Servers are in folders that not everybody has on the path.
	@for name in nginx haproxy caddy; do PATH="$$PATH:/usr/local/sbin:/usr/sbin:/sbin" scripts/program $$name $$name >/dev/null || exit; done

# A Node.js comes with those of the tests: what a system has may be too old.
NODE_FOLDERS := tests/clients clients/typescript web examples
node-folders := $(NODE_FOLDERS:%=node-packages/%)

.PHONY: node-packages $(node-folders)
node-packages: $(node-folders)
$(node-folders): node-packages/%: | nodejs
	@scripts/node-packages $*

# The environment. It is made anew when it does not work here: the folder was copied or moved (an environment
# points to its place), or the Python that it was made with is gone.

ifneq ($(CURDIR),$(shell $(BIN)/python -Ic 'import pip; print(open(".venv/folder").read())' 2>/dev/null))
.PHONY: .venv/folder
endif

.venv/folder:
	@scripts/environment new

.venv/run.stamp: .venv/folder requirements/build.txt requirements/run.txt pyproject.toml
	@scripts/environment run

.venv/dev.stamp: .venv/folder requirements/build.txt requirements/dev.txt pyproject.toml
	@scripts/environment dev

.venv/lock.stamp: .venv/folder requirements/lock.txt
	@scripts/environment lock

compile = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate $(ARGS)
