"""GET /health/live and /health/ready: for load balancers and whoever is paged."""

from django.db import connection
from django.http import HttpRequest

from agentflare import degraded, served
from agentflare.api import JsonResponse
from agentflare.connections import patiently
from agentflare.redis_cluster import Cluster
from agentflare.redis_store import get_redis


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers at all."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when calls can be served: also, within bounds, without one of the stores.

    `{"status": "ready"|"degraded"|"unready", "checks": {"postgresql": "ok"|"down", "redis": …}}`.
    503 with neither store, where the tables are not there, or where they are of a release that this
    code does not serve: then `checks.schemas` says why. It also says how many tenants alone are
    not served. Of a cluster that lacks a node "partly down" is told: the others serve.
    """
    checks = {"postgresql": check_postgresql(), "redis": check_redis()}
    refused = served.refused()
    told = _told(refused)
    if refused.everything:
        status = "unready"
    elif all(state == "ok" for state in checks.values()) and not degraded.stores():
        status = "ready"
    elif {"ok", "partly down"} & set(checks.values()) and "not migrated" not in checks.values():
        status = "degraded"
    else:
        status = "unready"
    return JsonResponse(
        {"status": status, "checks": {**checks, "schemas": told}},
        status=503 if status == "unready" else 200,
    )


def _told(refused: served.Refused) -> str:
    if refused.everything:
        return refused.everything
    count = len(refused.tenants)
    return f"{count} tenants not served: run `manage.py migrate_tenants`" if count else "ok"


def check_postgresql() -> str:
    try:
        has_tables = patiently(_has_tables)
    except Exception:  # whatever it is: a probe tells it, and never fails itself
        return "down"
    return "ok" if has_tables else "not migrated"


def _has_tables() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.catalog_aimodel') IS NOT NULL")
        (has_tables,) = cursor.fetchone()
    return bool(has_tables)


def check_redis() -> str:
    try:
        client = get_redis()
        client.ping()
        is_whole = not isinstance(client, Cluster) or client.is_whole()
    except Exception:  # as above
        return "down"
    return "ok" if is_whole else "partly down"
