#!/usr/bin/env bash
# `make test-compose`: brings docker-compose.yaml up, as it is, on a Docker of its own, and tests what runs.
#
# That Docker, its containers and the tests have their own network, mounts and processes (Linux namespaces): no port, address
# or iptables rule of the machine is touched, nothing reaches the outside, and all of it ends with this script. Images and
# layers stay in .tmp/compose, so that the next run is short.
#
# Where Docker cannot run this says why and skips, or fails with REQUIRE_DOCKER=1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cannot() {
  if [[ ${REQUIRE_DOCKER:-} == 1 ]]; then
    echo "error: test-compose: $1" >&2
    exit 1
  fi
  echo "SKIPPED: test-compose: $1"
  exit 0
}

if [[ ${1:-} != inside ]]; then
  [[ $(uname -s) == Linux ]] || cannot 'needs Linux'
  ((EUID == 0)) || cannot 'needs root, for a Docker of its own'
  for program in docker dockerd iptables ip unshare; do
    command -v "$program" >/dev/null || cannot "$program is missing (Debian: apt-get install docker.io docker-compose iptables iproute2)"
  done
  docker compose version >/dev/null 2>&1 || docker-compose version >/dev/null 2>&1 ||
    cannot 'Docker Compose is missing (Debian: apt-get install docker-compose)'
  unshare --mount --net --pid --fork --mount-proc true 2>/dev/null || cannot 'this machine grants no namespaces'

  # A build there has no network: npm's cache must hold every package.
  NPM_CACHE=$(npm config get cache)
  stamp=.tmp/compose/npm-cache-$(sha256sum package-lock.json | cut -c -32)
  if [[ ! -e $stamp ]]; then
    mkdir -p .tmp/compose/packages
    cp package.json package-lock.json .tmp/compose/packages/
    npm ci --prefix .tmp/compose/packages --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error
    rm -rf .tmp/compose/packages
    touch "$stamp"
  fi
  export NPM_CACHE
  # What runs inside ends with unshare, which itself ends by SIGKILL alone.
  unshare --mount --net --pid --fork --kill-child --mount-proc "${BASH_SOURCE[0]}" inside &
  trap 'kill -KILL $!' HUP INT TERM
  code=0
  wait $! || code=$?
  # What Docker leaves of its containers' control groups, which are in no namespace.
  find /sys/fs/cgroup/{,*/}mcp-router-compose -depth -type d -exec rmdir {} + 2>/dev/null || true
  exit "$code"
fi

ip link set lo up
# Where Docker and containerd leave files of their own; what is of this run alone is in /run.
for folder in /run /opt /etc/docker; do [[ ! -d $folder ]] || mount -t tmpfs none "$folder"; done

# Tests change what is mounted into the containers, and leave the folder of this checkout as it is.
cp -r envoy/compose /run/
mount --bind /run/compose envoy/compose

data=$PWD/.tmp/compose/docker
export DOCKER_HOST=unix:///run/docker.sock DOCKER_CONFIG=/run/docker-config COMPOSE_PROJECT_NAME=mcp-router-compose
# The builder that needs nothing beside the daemon.
export DOCKER_BUILDKIT=0
dockerd --host "$DOCKER_HOST" --data-root "$data" --exec-root /run/docker --pidfile /run/docker.pid \
  --cgroup-parent /mcp-router-compose >/run/docker.log 2>&1 &
daemon=$!
for ((tries = 0; tries < 200; tries++)); do
  docker info >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.1
done
docker info >/dev/null 2>&1 || {
  tail -n 5 /run/docker.log >&2
  cannot 'dockerd does not start; why is above'
}

test/compose/base-images.sh
# What a run that was killed has left.
docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
docker network prune --force >/dev/null
docker volume ls --quiet | xargs --no-run-if-empty docker volume rm >/dev/null
code=0
scripts/run-tests.sh compose test:compose || code=$?

kill "$daemon"
wait "$daemon" || {
  tail -n 20 /run/docker.log >&2
  code=1
}
if grep "$data" /proc/self/mounts; then
  echo 'error: test-compose: Docker has left these mounts' >&2
  code=1
fi
exit "$code"
