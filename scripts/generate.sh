#!/usr/bin/env bash
# `make generate`: makes again what is committed and made from something else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

router() { npm run --silent mcp-router -- "$@"; }

node scripts/configuration-reference.ts >docs/configuration.md
node scripts/lint-reference.ts >docs/envoy-checks.md
node scripts/methods-reference.ts >docs/internals/mcp-methods.md
router envoy --live --config k8s/base/mcp-router.yaml >k8s/components/envoy/bootstrap.yaml
router envoy --live --config envoy/compose/mcp-router.yaml >envoy/compose/envoy.yaml
# A check that finds errors, as this one does, exits with 1.
router check --config examples/envoy/mcp-router.yaml --envoy examples/envoy/first-attempt.yaml \
  2>examples/envoy/first-attempt.txt || [[ $? == 1 ]]
node scripts/envoy-gateway-patches.ts >k8s/overlays/envoy-gateway/patches.yaml
for mode in gateway sidecar; do
  router istio --mode "$mode" --config "k8s/overlays/istio-$mode/mcp-router.yaml" >"k8s/overlays/istio-$mode/istio.yaml"
done
