#!/bin/sh
# What a container does: web, worker, beat, upgrade, or any command of manage.py.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
PATH="$here/venv/bin:$PATH"
cd "$here/app"
# exec: signals reach the process itself.
case "${1:-web}" in
  web) exec gunicorn agentflare.wsgi:application -c agentflare/gunicorn.py ;;
  worker) exec celery -A agentflare worker --loglevel WARNING --concurrency "${WORKER_CONCURRENCY:-2}" ;;
  beat) exec celery -A agentflare beat -S celery.beat.Scheduler --loglevel WARNING --pidfile= ;;
  *) exec python manage.py "$@" ;;
esac
