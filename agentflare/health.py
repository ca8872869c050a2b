"""GET /health/live and /health/ready: for load balancers and whoever is paged."""

from django.db import connection
from django.http import HttpRequest

from agentflare.api import JsonResponse
from agentflare.redis_store import get_redis


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers at all."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when a call can be served: both stores answer and the tables are there. Else 503.

    `{"status": "ready"|"unready", "checks": {"postgresql": "ok"|"down", "redis": …}}`
    """
    checks = {"postgresql": check_postgresql(), "redis": check_redis()}
    is_ready = all(state == "ok" for state in checks.values())
    status = "ready" if is_ready else "unready"
    return JsonResponse({"status": status, "checks": checks}, status=200 if is_ready else 503)


def check_postgresql() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.catalog_aimodel') IS NOT NULL")
            row = cursor.fetchone()
    except Exception:
        return "down"
    return "ok" if row and row[0] else "not migrated"


def check_redis() -> str:
    try:
        get_redis().ping()
    except Exception:
        return "down"
    return "ok"
