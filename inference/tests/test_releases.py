"""Code and schemas of different releases: over HTTP, with the product's own processes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inference.tests.releases import (
    PATIENCE_S,
    UPGRADE_LOCK,
    Stores,
    Tenant,
    killed,
    running_stores,
)
from sandbox.testing import wait_until

pytestmark = pytest.mark.slow
REGION = {"region", "usage_by_region"}
MANY = [f"many-{number}" for number in range(8)]
CROWD = [f"crowd-{number}" for number in range(10)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with running_stores(tmp_path_factory.mktemp("releases")) as running:
        yield running


@pytest.fixture(scope="module")
def tenants(stores: Stores) -> dict[str, Tenant]:
    """Each is of one test, by its slug; made at once, for a command takes seconds to start."""
    names = ("acme", "globex", "lost", "kept", "early")
    made = stores.tenants(*names, *MANY, *CROWD)
    return {tenant.slug: tenant for tenant in made}


def is_refused(answer: Any) -> bool:
    """503 in OpenAI's envelope, and when to come again."""
    if answer.status_code != 503:
        return False
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "service_unavailable")
    assert "upgrade is under way" in error["message"]
    assert int(answer.headers["retry-after"]) >= 1
    return True


def test_a_schema_that_is_behind_is_refused_alone_and_old_code_goes_on(
    stores: Stores, tenants: dict[str, Tenant]
) -> None:
    acme, globex = tenants["acme"], tenants["globex"]
    with stores.web() as old, stores.web("expanded") as new:
        assert [old.balance(acme), old.balance(globex)] == [200, 200]
        assert is_refused(new.get("/v1/usage/records", acme))
        assert is_refused(new.get("/v1/models", globex))
        status, body = new.ready()
        assert (status, body["status"]) == (200, "ready")
        assert body["checks"]["schemas"] == (
            f"{len(tenants)} tenants not served: run `manage.py migrate_tenants`"
        )
        assert "usage.9001_region" in new.log.read_text()

        stores.manage("migrate_tenants", "acme", release="expanded")

        wait_until(lambda: new.balance(acme) == 200, PATIENCE_S)
        assert is_refused(new.get("/v1/usage/records", globex))
        # What was only added is nothing to the code of before.
        assert [old.balance(acme), old.balance(globex)] == [200, 200]
        assert old.ready()[1]["checks"]["schemas"] == "ok"

        stores.manage("migrate_tenants", "globex", release="expanded")

        wait_until(lambda: new.balance(globex) == 200, PATIENCE_S)
        assert [old.balance(acme), old.balance(globex)] == [200, 200]


def test_code_that_a_schema_has_left_behind_refuses_that_tenant_alone(
    stores: Stores, tenants: dict[str, Tenant]
) -> None:
    lost, kept = tenants["lost"], tenants["kept"]
    with stores.web() as old:
        assert [old.balance(lost), old.balance(kept)] == [200, 200]

        stores.manage("migrate_tenants", "lost", release="contracted")

        wait_until(lambda: is_refused(old.get("/v1/models", lost)), PATIENCE_S)
        assert old.balance(kept) == 200
        status, body = old.ready()
        assert (status, body["checks"]["schemas"][:20]) == (200, "1 tenants not served")
        assert "too old for: usage.9002_without_log_ids" in old.log.read_text()


def test_a_shared_schema_that_is_behind_lets_nothing_start(
    stores: Stores, tenants: dict[str, Tenant]
) -> None:
    acme = tenants["early"]
    with stores.web("shared") as new:
        status, body = new.ready()
        assert (status, body["status"]) == (503, "unready")
        assert body["checks"]["schemas"] == (
            "the shared schema lacks registry.9001_region: run `manage.py upgrade`"
        )
        assert is_refused(new.get("/v1/models", acme))
        page = new.get("/")
        assert (page.status_code, page.headers["content-type"]) == (503, "text/plain")
        celery = ("-m", "celery", "-A", "agentflare")
        for command in (
            ("worker", "-c", "1"),
            ("beat", "-S", "celery.beat.Scheduler", "--pidfile="),
        ):
            ended, printed = stores.run(*celery, *command, release="shared")
            assert ended == 1
            assert "Not started: the shared schema lacks registry.9001_region" in printed

        stores.manage("migrate_schemas", "--shared", release="shared")

        wait_until(lambda: new.ready()[0] == 200, PATIENCE_S)
        assert new.balance(acme) == 200


def test_an_upgrade_that_is_killed_leaves_no_schema_between_and_goes_on(
    stores: Stores, tenants: dict[str, Tenant]
) -> None:
    many = [tenants[slug] for slug in MANY]
    command = ["manage.py", "migrate_tenants", *MANY, "--jobs", "1"]
    with stores.connection() as holder:
        # One of the last is in use, so the upgrade stands still there.
        with holder.transaction():
            table = f"{many[5].schema}.usage_usagerecord"
            holder.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
            upgrade = stores.start(*command, release="expanded")
            wait_until(lambda: waiting_for(stores, "relation") == 1, PATIENCE_S)
            killed(upgrade)
            new = [is_new(stores, tenant) for tenant in many]
        assert 0 < sum(new) < len(new)

        # Two more at once: one at a time is let in, and the other finds nothing to do.
        holder.execute("SELECT pg_advisory_lock(%s)", [UPGRADE_LOCK])
        both = [stores.start(*command, release="expanded") for _ in range(2)]
        wait_until(lambda: waiting_for(stores, "advisory") == len(both), PATIENCE_S)
        assert [is_new(stores, tenant) for tenant in many] == new
        holder.execute("SELECT pg_advisory_unlock(%s)", [UPGRADE_LOCK])
    printed = [process.communicate(timeout=PATIENCE_S)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], printed
    done = [f"{new.count(False)} schemas migrated" in text for text in printed]
    idle = ["All schemas are at this version." in text for text in printed]
    assert sorted(zip(done, idle, strict=True)) == [(False, True), (True, False)], printed
    assert all(is_new(stores, tenant) for tenant in many)


def is_new(stores: Stores, tenant: Tenant) -> bool:
    """The whole migration, or nothing of it."""
    found = REGION & stores.columns(tenant)
    assert found in (set(), REGION)
    assert ("9001_region" in stores.migrations(tenant)) == bool(found)
    return bool(found)


def waiting_for(stores: Stores, what: str) -> int:
    """How many connections wait for such a lock."""
    with stores.connection() as own:
        row = own.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND wait_event = %s",
            [what],
        ).fetchone()
    return int(row[0]) if row else 0


def test_connections_stay_within_the_pools_however_many_call(
    stores: Stores, tenants: dict[str, Tenant]
) -> None:
    """Callers wait for one, or are told to come again."""
    crowd = [tenants[slug] for slug in CROWD]
    bounds = {"DATABASE_POOL_SIZE": "4", "REDIS_MAX_CONNECTIONS": "8"}
    name = "crowded_web"
    url = (
        f"{stores.database_url}{'&' if '?' in stores.database_url else '?'}application_name={name}"
    )
    most = {"postgresql": 0, "redis": 0}
    with stores.web(DATABASE_URL=url, **bounds) as web, ThreadPoolExecutor(200) as pool:
        before = redis_clients(stores)
        calls = [pool.submit(web.balance, crowd[n % len(crowd)]) for n in range(600)]
        while not all(call.done() for call in calls):
            most["postgresql"] = max(most["postgresql"], connections(stores, name))
            most["redis"] = max(most["redis"], redis_clients(stores) - before)
        answers = [call.result() for call in calls]

    assert set(answers) <= {200, 503}
    assert answers.count(200) > len(answers) / 2
    assert 1 <= most["postgresql"] <= 4
    assert most["redis"] <= 8


def connections(stores: Stores, name: str) -> int:
    with stores.connection() as own:
        row = own.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]
        ).fetchone()
    return int(row[0]) if row else 0


def redis_clients(stores: Stores) -> int:
    import redis

    with redis.Redis.from_url(stores.redis_url) as client:
        return len(client.client_list()) - 1
