#!/bin/sh
# What the image holds, made in a folder: `docker/build.sh packages|app FOLDER`.
#
#   packages  FOLDER/venv: exactly what requirements.lock pins, each file proved by its hash
#   app       FOLDER/app: the product without its tests, compiled; FOLDER/bin: how it is started
#
# The Dockerfile runs it, and so does a test, where there is no container engine.
set -eu
what=$1
target=$2
source=$(cd "$(dirname "$0")/.." && pwd)

packages() {
  "${PYTHON:-python3}" -m venv "$target/venv"
  "$target/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps -r "$source/requirements.lock"
  # Nothing is installed into an image any more.
  "$target/venv/bin/pip" uninstall --quiet --yes pip setuptools 2>/dev/null || true
}

app() {
  mkdir -p "$target/app" "$target/bin"
  (cd "$source" && tar -c --exclude tests --exclude __pycache__ --exclude '*.pyc' \
    manage.py agentflare tenants billing inference agents templates static docs) |
    tar -x -C "$target/app"
  cp "$source/docker/start.sh" "$target/bin/start"
  cp "$source/docker/healthy.py" "$target/bin/healthy"
  chmod 0755 "$target/bin/start" "$target/bin/healthy"
  "$target/venv/bin/python" -m compileall -q -j 0 "$target/app"
}

"$what"
