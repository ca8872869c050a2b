#!/bin/sh
# Makes requirements.lock anew from requirements.txt, for the image's Python. Needs pip-tools.
set -eu
cd "$(dirname "$0")/.."
{
  echo "# requirements.txt with all that it needs, and the hashes of their files: what the image has, and"
  echo "# nothing else. Made anew by: docker/lock.sh"
  pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host \
    --no-emit-find-links --no-header --no-annotate --strip-extras --output-file - requirements.txt
} >requirements.lock.new
mv requirements.lock.new requirements.lock
