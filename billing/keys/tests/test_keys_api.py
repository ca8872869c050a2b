"""/v1/keys: a program manages API keys."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tenants.audit.models import AuditEvent
from tenants.audit.services import Actor
from tenants.keys import lookup
from tenants.keys.services import create_api_key
from tenants.members.team import revoke_keys_of
from tenants.registry.schemas import tenant_schema


class Api:
    """Calls of one key."""

    def __init__(self, key: str, ip: str = "203.0.113.7") -> None:
        self.client = Client(REMOTE_ADDR=ip, HTTP_AUTHORIZATION=f"Bearer {key}")

    def get(self, path: str = "") -> Any:
        return self.client.get(f"/v1/keys{path}")

    def post(self, body: Any, path: str = "") -> Any:
        return self.client.post(f"/v1/keys{path}", body, content_type="application/json")

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/v1/keys{path}")


def admin_key(cast: Any) -> str:
    _, key = create_api_key(tenant=cast.tenant, name="boss", actor="test", scopes=["admin"])
    return key


@pytest.fixture
def api(acme: Any) -> Api:
    return Api(admin_key(acme))


def error_of(response: Any) -> tuple[int, str | None, str | None]:
    error = response.json()["error"]
    return response.status_code, error["param"], error["code"]


FULL = {
    "name": "batch jobs",
    "scopes": ["inference", "usage"],
    "models": ["gpt-oss-20b", "fast"],
    "ip_ranges": ["203.0.113.0/24", "2001:db8::1"],
    "expires_at": "2099-01-31T12:00:00Z",
    "cache_ttl_s": 300,
    "limits": {"requests_per_minute": 60, "tokens_per_minute": 100_000, "concurrent_calls": 4},
    "model_limits": {"gpt-oss-20b": {"requests_per_minute": 10}},
    "budgets": {"day": "1.50", "month": "20", "life": None},
    "alert_percents": [80, 50],
}


def test_a_key_is_made_with_all_that_it_may_have_and_shown_once(api: Api, acme: Any) -> None:
    response = api.post(FULL)

    made = response.json()
    assert response.status_code == 201
    assert made["object"] == "api_key"
    assert made["key"].startswith(made["prefix"])
    assert (made["name"], made["status"], made["scopes"]) == (
        "batch jobs",
        "active",
        ["inference", "usage"],
    )
    assert made["ip_ranges"] == ["2001:db8::1/128", "203.0.113.0/24"]
    assert made["expires_at"] == int(datetime(2099, 1, 31, 12, tzinfo=UTC).timestamp())
    assert made["limits"] == FULL["limits"]
    assert made["model_limits"] == FULL["model_limits"]
    assert made["budgets"] == {"day": "1.500000000", "month": "20.000000000", "life": None}
    assert made["spent"] == dict.fromkeys(("day", "month", "life"), "0.000000000")
    assert made["alert_percents"] == [50, 80]
    again = api.get(f"/{made['id']}").json()
    assert "key" not in again
    assert again == {name: value for name, value in made.items() if name != "key"}
    record = lookup.resolve_key(made["key"])
    assert record.limits.requests_per_minute == 60
    assert record.budgets.day_nusd == 1_500_000_000
    assert record.ai_model_limits["gpt-oss-20b"].requests_per_minute == 10


def test_everything_has_defaults_but_the_name(api: Api) -> None:
    made = api.post({"name": "plain"}).json()

    assert made["scopes"] == ["inference", "agents"]
    assert made["models"] == made["ip_ranges"] == []
    assert set(made["limits"].values()) == {None}
    assert error_of(api.post({})) == (400, "name", "missing_required_parameter")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": " "}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"models": ["a b"]}, "models"),
        ({"ip_ranges": ["300.1.1.1"]}, "ip_ranges"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"cache_ttl_s": 5}, "cache_ttl_s"),
        ({"limits": {"requests_per_minute": -1}}, "limits.requests_per_minute"),
        ({"limits": {"requests": 1}}, "limits.requests"),
        ({"model_limits": {"m": {"requests_per_minute": "1"}}}, None),
        ({"budgets": {"day": "a lot"}}, "budgets.day"),
        ({"budgets": {"day": "-1"}}, "budgets.day"),
        ({"budgets": {"day": "1e999999999"}}, "budgets.day"),
        ({"budgets": {"day": 1.5}}, "budgets.day"),
        ({"alert_percents": [101]}, "alert_percents"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_what_a_key_cannot_have_is_refused_by_its_field(
    api: Api, acme: Any, change: dict[str, Any], param: str | None
) -> None:
    response = api.post({"name": "x", **change})

    status, told, _ = error_of(response)
    assert status == 400
    assert param is None or told == param
    assert {key["name"] for key in api.get().json()["data"]} == {"boss", "test"}


def test_what_a_members_key_makes_is_the_members(acme: Any) -> None:
    boss = Actor(acme.owner.email, user_id=acme.owner.pk)
    _, key = create_api_key(tenant=acme.tenant, name="boss", actor=boss, scopes=["admin"])
    child = Api(key).post({"name": "child", "scopes": ["admin"]}).json()
    Api(child["key"]).post({"name": "grandchild"})

    revoked = revoke_keys_of(acme.tenant, acme.owner, boss)

    assert {row.name for row in revoked} == {"boss", "child", "grandchild"}
    # 409: this process still remembers the key.
    assert error_of(Api(key).post({"name": "late"}))[0] in (401, 409)
    lookup.forget_all()
    assert Api(child["key"]).get().status_code == 401
    assert lookup.resolve_key(acme.key).name == "test"  # nobody's: a command made it


def test_a_change_takes_what_is_named_and_leaves_the_rest(api: Api) -> None:
    made = api.post(FULL).json()

    response = api.post(
        {
            "limits": {"requests_per_minute": None},
            "budgets": {"day": "3"},
            "models": None,
            "expires_at": None,
        },
        f"/{made['id']}",
    )

    changed = response.json()
    assert changed["limits"] == {**FULL["limits"], "requests_per_minute": None}  # type: ignore[dict-item]
    assert changed["budgets"] == {"day": "3.000000000", "month": "20.000000000", "life": None}
    assert changed["models"] == []
    assert changed["expires_at"] is None
    assert changed["ip_ranges"] == made["ip_ranges"]
    lookup.forget_all()
    record = lookup.resolve_key(made["key"])
    assert record.budgets.day_nusd == 3_000_000_000
    assert not record.ai_models


def test_rotation_makes_another_key_and_ends_the_old_one_after_the_overlap(api: Api) -> None:
    made = api.post(FULL).json()

    new = api.post({"overlap_s": 3600}, f"/{made['id']}/rotate").json()

    old = api.get(f"/{made['id']}").json()
    assert new["id"] != made["id"]
    assert old["rotated_to"] == new["id"]
    assert 3_590 < old["expires_at"] - time.time() < 3_610
    same = ("name", "scopes", "models", "ip_ranges", "limits", "model_limits", "budgets")
    assert {name: new[name] for name in same} == {name: made[name] for name in same}
    both = [lookup.resolve_key(key) for key in (made["key"], new["key"])]
    assert both[0].line_id == both[1].line_id
    status, _, code = error_of(api.post({}, f"/{made['id']}/rotate"))
    assert (status, code) == (409, "api_key_ended")


def test_rotation_without_overlap_ends_the_old_key_at_once(api: Api) -> None:
    made = api.post({"name": "x"}).json()
    api.post({"overlap_s": 0}, f"/{made['id']}/rotate")
    lookup.forget_all()

    response = Api(made["key"]).get()

    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert api.get(f"/{made['id']}").json()["status"] == "revoked"


def test_a_deleted_key_works_no_more_and_a_repeat_changes_nothing(api: Api) -> None:
    made = api.post({"name": "x", "scopes": ["admin"]}).json()

    for _ in range(2):
        assert api.delete(f"/{made['id']}").json()["deleted"] is True

    lookup.forget_all()
    assert Api(made["key"]).get().status_code == 401
    assert error_of(api.post({"name": "y"}, f"/{made['id']}"))[0] == 409


def test_the_list_is_paged_and_newest_first(api: Api) -> None:
    made = [api.post({"name": f"key {number}"}).json()["id"] for number in range(3)]

    first = api.get("?limit=2").json()
    rest = api.get(f"?limit=100&after={first['last_id']}").json()

    assert [key["id"] for key in first["data"]] == made[:0:-1]
    assert first["has_more"] is True
    assert rest["data"][0]["id"] == made[0]
    assert rest["has_more"] is False
    assert error_of(api.get("?limit=0"))[:2] == (400, "limit")
    assert error_of(api.get("?after=nonsense"))[:2] == (400, "after")


def test_only_keys_with_the_scope_may_manage_keys(acme: Any) -> None:
    response = Api(acme.key).get()

    assert error_of(response) == (403, None, "insufficient_permissions")
    assert "`admin`" in response.json()["error"]["message"]


def test_other_tenants_keys_do_not_exist(api: Api, acme: Any, globex: Any) -> None:
    theirs = lookup.resolve_key(globex.key).key_id

    for response in (
        api.get("/%00"),
        api.delete("/%00"),
        api.get(f"/{theirs}"),
        api.post({"name": "mine"}, f"/{theirs}"),
        api.post({}, f"/{theirs}/rotate"),
        api.delete(f"/{theirs}"),
    ):
        assert error_of(response) == (404, None, "api_key_not_found")
    lookup.forget_all()
    lookup.resolve_key(globex.key)
    assert theirs not in {key["id"] for key in api.get().json()["data"]}


def test_every_change_is_in_the_trail_with_who_and_from_where(api: Api, acme: Any) -> None:
    made = api.post({"name": "x"}).json()
    api.post({"name": "y"}, f"/{made['id']}")
    api.post({}, f"/{made['id']}/rotate")
    api.delete(f"/{made['id']}")

    with tenant_schema(acme.code):
        events = list(AuditEvent.objects.order_by("id"))[-4:]
    assert [event.action for event in events] == [
        f"api_key.{what}" for what in ("created", "changed", "rotated", "revoked")
    ]
    assert {event.ip for event in events} == {"203.0.113.7"}
    assert all(event.actor.startswith(f"key oi_{acme.code}") for event in events)
    assert events[1].detail == {"name": ["x", "y"]}
    assert made["key"] not in str([event.detail for event in events])


# --- What keys are held to ---------------------------------------------------------


def test_a_key_with_ip_ranges_works_from_there_alone(acme: Any) -> None:
    _, key = create_api_key(
        tenant=acme.tenant,
        name="office",
        actor="test",
        scopes=["admin"],
        ip_ranges=["203.0.113.0/24", "2001:db8::/32"],
    )

    assert Api(key, "203.0.113.9").get().status_code == 200
    assert Api(key, "::ffff:203.0.113.9").get().status_code == 200
    assert Api(key, "2001:db8::7").get().status_code == 200
    refused = Api(key, "198.51.100.1").get()
    assert error_of(refused) == (401, None, "ip_not_authorized")
    assert "198.51.100.1" in refused.json()["error"]["message"]


def test_behind_proxies_the_address_is_the_one_they_heard_from(acme: Any, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    _, key = create_api_key(
        tenant=acme.tenant, name="o", actor="test", scopes=["admin"], ip_ranges=["203.0.113.0/24"]
    )
    client = Client(REMOTE_ADDR="10.0.0.1", HTTP_AUTHORIZATION=f"Bearer {key}")

    told = client.get("/v1/keys", HTTP_X_FORWARDED_FOR="198.51.100.1, 203.0.113.9")
    claimed = client.get("/v1/keys", HTTP_X_FORWARDED_FOR="203.0.113.9, 198.51.100.1")
    silent = client.get("/v1/keys")

    assert [each.status_code for each in (told, claimed, silent)] == [200, 401, 401]


def test_an_expired_key_is_refused_also_by_a_process_that_remembers_it(acme: Any) -> None:
    _, key = create_api_key(
        tenant=acme.tenant,
        name="short",
        actor="test",
        scopes=["admin"],
        expires_at=datetime.now(UTC) + timedelta(seconds=0.3),
    )
    assert Api(key).get().status_code == 200
    time.sleep(0.35)

    refused = Api(key).get()

    assert error_of(refused) == (401, None, "invalid_api_key")
    assert "expired" in refused.json()["error"]["message"]
