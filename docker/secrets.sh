#!/bin/sh
# Makes docker/secrets/: passwords and keys that nobody has chosen, and empty files for those that
# others give you. What is there stays.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets
# Only root gets into the folder; the files themselves are mounted, and read by the containers' user.
chmod 0700 .

random() { od -An -N 32 -tx1 /dev/urandom | tr -d ' \n'; }
make() { [ -e "$1" ] || printf '%s' "$2" >"$1"; chmod 0444 "$1"; }

make secret_key "$(random)"
make postgres_password "$(random)"
make valkey_password "$(random)"
make metrics_token "$(random)"
make database_url "postgresql://agentflare:$(cat postgres_password)@postgres:5432/agentflare"
make redis_url "redis://:$(cat valkey_password)@valkey:6379/0"
for given in cloudflare_api_token stripe_secret_key stripe_webhook_secret email_url; do
  make "$given" ""
done
echo "docker/secrets/ is there. Fill in: cloudflare_api_token, and as you need them"
echo "stripe_secret_key, stripe_webhook_secret, email_url."
