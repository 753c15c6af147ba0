# The commands of this project; `make help` lists them. Each target first installs what it needs, inside this directory.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

ENVOY_VERSION := 1.40.0
# Others that the gateway runs on, the oldest first.
OLDER_ENVOY_VERSIONS := 1.36.4 1.37.0 1.38.3

# How tools are installed, and which of them this machine lacks: not asked where nothing is installed.
ifneq ($(filter-out help clean ci,$(MAKECMDGOALS)),)
include mk/tools.mk
endif

# `npm run` puts node_modules/.bin first on PATH, so `node` is the project's 24 whatever the machine has.
RUN := npm run --silent

.PHONY: help demo run install tools test test-unit test-e2e test-delivery test-platforms test-compose test-envoy-oldest \
  test-envoy-versions check conformance bench build generate envoy-gateway clean ci

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(GATEWAY) $(PYTHON_SERVER) ## Run real MCP clients through Envoy to real MCP servers, and say what each request met
	@$(RUN) demo

run: $(GATEWAY) $(PYTHON_SERVER) ## Keep the demo's gateway up on 127.0.0.1:8080, for an MCP client of yours
	@$(RUN) run

install: $(TEST_TOOLS) ## Install packages into node_modules/, and what `make test` needs into .tools/

tools: $(TEST_TOOLS) $(DELIVERY_TOOLS) ## Install what `make test-delivery` needs as well

test: $(TEST_TOOLS) ## Run the unit, contract and Envoy tests, with coverage: minutes, without Go and Docker
	@scripts/run-tests.sh fast test

test-unit: $(PACKAGES) $(SERVERS) ## Run the tests that need no Envoy
	@$(RUN) test:unit

test-e2e: $(TEST_TOOLS) ## Run the tests with the real Envoy
	@$(RUN) test:e2e

test-delivery: test-platforms test-envoy-oldest test-compose ## Run the rest: these three; with --keep-going also after one has failed

test-platforms: $(TEST_TOOLS) $(DELIVERY_TOOLS) ## Test the Kubernetes manifests, Istio, other SDKs' clients, crowds, and a minute of chaos
	@scripts/run-tests.sh platforms test:platforms

# What depends on how Envoy behaves; the rest is ours, or was seen on the newest.
ENVOY_TESTS := $(addprefix test/e2e/,bootstrap call-limits credentials federation. federation-clients federation-streams guard identity limits policy \
  processors recovery refusals sessions streaming tool-timeouts) test/long/recovery-large test/long/routing \
  test/istio/mesh

test-envoy-oldest: test-envoy-$(firstword $(OLDER_ENVOY_VERSIONS)) ## Run the tests that depend on Envoy on the oldest that is supported

test-envoy-versions: $(OLDER_ENVOY_VERSIONS:%=test-envoy-%) test-e2e ## Run the tests with the real Envoy on each version that is supported

.PHONY: $(OLDER_ENVOY_VERSIONS:%=test-envoy-%)
$(OLDER_ENVOY_VERSIONS:%=test-envoy-%): test-envoy-%: .tools/envoy-%/envoy/_bin/envoy $(TEST_TOOLS) $(ISTIOD_BINARY)
	@ENVOY=$(CURDIR)/$< scripts/run-tests.sh envoy-$* test:envoy $(ENVOY_TESTS)

# Its own Docker is in namespaces of its own: see test/compose/run.sh.
test-compose: $(GATEWAY) $(SERVERS) ## Bring docker-compose.yaml up on a Docker of its own, and test what runs (Linux, root)
	@test/compose/run.sh

check: $(PACKAGES) ## Lint, check types, the direction of imports, and unused code
	@$(RUN) check

# In CI the document must be there already.
conformance: $(GATEWAY) ## Run the public MCP conformance suite, directly and through the gateway; write docs/conformance.md
	@$(RUN) conformance $(if $(CI),-- --check)

bench: $(TEST_TOOLS) ## Measure what the gateway adds, what sessions cost, lost and kept, what a flood of them does, and 1,000 backends, against targets
	@$(RUN) bench

build: $(PACKAGES) ## Compile src/ to dist/
	@$(RUN) build

generate: $(PACKAGES) ## Make again what is committed and made from something else: Envoy configurations, the reference
	@$(RUN) generate

envoy-gateway: $(PACKAGES) $(KUBECTL) $(EGCTL) ## Have Envoy Gateway translate its manifests again, for the tests
	@node_modules/.bin/node scripts/envoy-gateway-translate.ts

clean: ## Remove what was built and measured; keep what was installed
	@rm -rf dist coverage .tmp

ci: ## Run what CI runs
	@.ci/run
