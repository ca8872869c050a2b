"""Name, address, limits and alerts, as a workspace's people choose them."""

import threading
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from redis import exceptions

from tenants.audit.services import Actor
from tenants.keys.lookup import forget_all, resolve_key
from tenants.keys.services import create_api_key
from tenants.limits import Limits
from tenants.members.tests.builders import actor, audit_of, member, signed_in, text
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.services import TenantExistsError, change_limits, create_tenant
from tenants.users.models import Role
from tenants.workspaces import services
from tenants.workspaces.alerts import alert_addresses, tell_people
from tenants.workspaces.closing import close_workspace

MAY = {Role.OWNER, Role.ADMIN}
PAGES = ("settings/", "settings/limits/", "settings/alerts/", "settings/data/")


def url(cast: Any, path: str = "settings/") -> str:
    return f"/t/{cast.tenant.slug}/{path}"


def rename(cast: Any, **fields: str) -> Any:
    data = {"name": cast.tenant.name, "slug": cast.tenant.slug, **fields}
    return signed_in(cast.owner).post(url(cast), data)


@pytest.mark.parametrize("role", Role)
def test_who_may(acme: Any, role: Role) -> None:
    client = signed_in(member(acme, role, "somebody"))
    for path in PAGES:
        assert client.get(url(acme, path)).status_code == (200 if role in MAY else 403), path
        assert (client.post(url(acme, path)).status_code == 403) == (role not in MAY), path
    assert ("Settings" in text(client.get(url(acme, "")))) == (role in MAY)


def test_another_workspace_is_not_reached(acme: Any, globex: Any) -> None:
    stranger = signed_in(globex.owner)
    for path in PAGES:
        assert stranger.get(url(acme, path)).status_code == 404, path
        assert stranger.post(url(acme, path), {"name": "mine"}).status_code == 404, path


# --- name and address ---------------------------------------------------------------


def test_a_new_name(acme: Any) -> None:
    rename(acme, name="  Acme \n Labs ")

    acme.tenant.refresh_from_db()
    assert acme.tenant.name == "Acme Labs"
    event = audit_of(acme)[0]
    assert (event.action, event.detail) == ("workspace.renamed", {"name": ["Acme", "Acme Labs"]})


def test_the_old_address_leads_to_the_new_one(acme: Any) -> None:
    old, new = acme.tenant.slug, f"new-{acme.tenant.slug}"
    answer = rename(acme, slug=new)
    client = signed_in(acme.owner)

    assert answer["Location"] == f"/t/{new}/settings/"
    moved = client.get(f"/t/{old}/team/?a=b")
    assert (moved.status_code, moved["Location"]) == (307, f"/t/{new}/team/?a=b")
    assert client.get(f"/t/{old}/", follow=True).status_code == 200


def test_it_does_so_for_its_members_alone(acme: Any, globex: Any) -> None:
    old = acme.tenant.slug
    rename(acme, slug=f"new-{old}")

    assert signed_in(globex.owner).get(f"/t/{old}/").status_code == 404
    assert Client().get(f"/t/{old}/")["Location"].startswith("/accounts/login/")


def test_an_old_address_is_given_to_nobody_else(acme: Any, globex: Any) -> None:
    old = acme.tenant.slug
    rename(acme, slug=f"new-{old}")

    assert "or had it" in text(rename(globex, slug=old))
    with pytest.raises(TenantExistsError):
        create_tenant(slug=old, name="x")


def test_one_s_own_old_address_can_be_taken_back(acme: Any) -> None:
    old, new = acme.tenant.slug, f"new-{acme.tenant.slug}"
    rename(acme, slug=new)
    acme.tenant.refresh_from_db()
    rename(acme, slug=old)
    client = signed_in(acme.owner)

    assert client.get(f"/t/{old}/").status_code == 200
    assert client.get(f"/t/{new}/")["Location"] == f"/t/{old}/"


@pytest.mark.parametrize(
    "slug", ["", "UPPER", "admin", "ab", "a b", "-a", "a-", "é", "a/b", "x" * 41]
)
def test_what_is_no_address(acme: Any, slug: str) -> None:
    answer = rename(acme, slug=slug)

    assert answer.status_code == 422
    assert Tenant.objects.get(pk=acme.tenant.pk).slug == acme.tenant.slug


def test_of_two_who_want_one_address_one_gets_it(acme: Any, globex: Any) -> None:
    wanted = f"wanted-{acme.tenant.slug}"
    gate = threading.Barrier(2)
    outcomes: list[str] = []

    def go(cast: Any) -> None:
        gate.wait()
        try:
            services.rename(
                tenant=cast.tenant, name="x", slug=wanted, actor=Actor(cast.owner.email)
            )
            outcomes.append("got it")
        except services.SlugTakenError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=[cast]) for cast in (acme, globex)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["got it", "refused"]
    # Who was refused keeps the address they have.
    slugs = set(
        Tenant.objects.filter(pk__in=[acme.tenant.pk, globex.tenant.pk]).values_list("slug")
    )
    assert len(slugs) == 2


# --- limits -------------------------------------------------------------------------


def choose(cast: Any, **fields: Any) -> Any:
    data = {
        "requests_per_minute": "",
        "tokens_per_minute": "",
        "concurrent_calls": "",
        **fields,
    }
    return signed_in(cast.owner).post(url(cast, "settings/limits/"), data)


def standing(cast: Any) -> Any:
    return status.standing_of(Tenant.objects.get(pk=cast.tenant.pk))


def test_own_limits_lower_those_of_the_plan(acme: Any) -> None:
    change_limits(
        tenant=acme.tenant,
        plan=None,
        limits=Limits(requests_per_minute=100, tokens_per_minute=None, concurrent_calls=5),
        shrink_to_fit=False,
        actor="operator",
    )
    answer = choose(acme, requests_per_minute="60", tokens_per_minute="1000", shrink_to_fit="on")

    assert answer.status_code == 302
    assert standing(acme).limits == Limits(60, 1000, 5)
    assert standing(acme).shrink_to_fit
    assert audit_of(acme)[0].action == "workspace.limits_chosen"


def test_what_calls_may_have_from_the_cache_is_chosen_for_all_keys_that_do_not_say(
    acme: Any,
) -> None:
    _, silent = create_api_key(tenant=acme.tenant, name="silent", actor="test")
    _, own = create_api_key(tenant=acme.tenant, name="own", actor="test", cache_ttl_s=0)
    resolve_key(silent)
    forget_all()

    assert "60 to 2,592,000" in text(choose(acme, cache_ttl_s="59"))
    assert choose(acme, cache_ttl_s="300").status_code == 302
    assert [resolve_key(key).cache_ttl_s for key in (silent, own)] == [300, 0]
    forget_all()
    choose(acme, cache_ttl_s="")
    assert resolve_key(silent).cache_ttl_s == 0


def test_they_never_raise_them(acme: Any) -> None:
    limits = Limits(requests_per_minute=100)
    change_limits(
        tenant=acme.tenant, plan=None, limits=limits, shrink_to_fit=False, actor="operator"
    )
    answer = choose(acme, requests_per_minute="101")
    assert "Your plan allows 100" in text(answer)

    choose(acme, requests_per_minute="90")
    change_limits(
        tenant=acme.tenant,
        plan=None,
        limits=Limits(requests_per_minute=10),
        shrink_to_fit=False,
        actor="operator",
    )
    assert standing(acme).limits.requests_per_minute == 10


def test_they_hold_in_redis_at_once(acme: Any) -> None:
    from agentflare.redis_store import get_redis

    choose(acme, concurrent_calls="3")

    values = get_redis().hmget(status.status_key(acme.code), status.FIELDS)
    found = status.parse(values)
    assert found
    assert found.limits.concurrent_calls == 3


def test_without_redis_they_are_saved(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise exceptions.ConnectionError

    monkeypatch.setattr(status, "publish", fail)
    answer = signed_in(acme.owner).post(
        url(acme, "settings/limits/"), {"concurrent_calls": "3"}, follow=True
    )

    assert "takes effect in a minute" in text(answer)
    assert standing(acme).limits.concurrent_calls == 3


# --- alerts -------------------------------------------------------------------------


def test_who_is_told(acme: Any) -> None:
    viewer, developer = member(acme, Role.VIEWER), member(acme, Role.DEVELOPER)
    assert alert_addresses(acme.tenant) == [acme.owner.email]

    signed_in(acme.owner).post(
        url(acme, "settings/alerts/"),
        {"roles": ["developer"], "addresses": "pager@x.test\nops@x.test, pager@x.test"},
    )

    assert alert_addresses(acme.tenant) == sorted(["ops@x.test", "pager@x.test", developer.email])
    tell_people(acme.tenant, "news", "Look.")
    assert viewer.email not in [mail_.to[0] for mail_ in mail.outbox]
    assert len(mail.outbox) == 3


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"addresses": "nonsense"}, "nonsense is no e-mail address"),
        ({"addresses": " ".join(f"a{n}@x.test" for n in range(21))}, "At most 20"),
        ({}, "Somebody has to be told"),
    ],
)
def test_what_is_not_taken(acme: Any, data: dict[str, str], why: str) -> None:
    answer = signed_in(acme.owner).post(url(acme, "settings/alerts/"), data)

    assert answer.status_code == 422
    assert why in text(answer)


def test_who_is_no_member_any_more_is_told_nothing(acme: Any) -> None:
    admin = member(acme, Role.ADMIN)
    signed_in(acme.owner).post(f"/t/{acme.tenant.slug}/team/{admin.pk}/remove/")

    assert alert_addresses(acme.tenant) == [acme.owner.email]


def test_a_closed_workspace_says_so_on_every_page(acme: Any) -> None:
    close_workspace(tenant=acme.tenant, actor=actor(acme.owner))

    assert "This workspace is closed" in text(signed_in(acme.owner).get(url(acme, "team/")))
