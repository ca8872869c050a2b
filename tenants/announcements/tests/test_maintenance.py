"""Read-only and paused: what is refused, what goes on, and who learns of it when."""

import json
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from agentflare.redis_store import get_redis
from tenants.announcements import maintenance
from tenants.announcements.tasks import publish_maintenance_task
from tenants.audit.services import Actor
from tenants.operators.models import OperatorAction
from tenants.users.tests.builders import operator_browser


@pytest.fixture(autouse=True)
def as_ever(_database: None) -> Iterator[None]:
    yield
    switch("off")


def switch(mode: str, **options: Any) -> None:
    maintenance.change(mode=mode, reason="a test", actor=Actor("test"), **options)


def signed_in(cast: Any) -> Client:
    client = Client()
    client.force_login(cast.owner)
    return client


def test_read_only_takes_no_form_and_says_why(acme: Any) -> None:
    client, at = signed_in(acme), f"/t/{acme.tenant.slug}/"
    switch("read_only", message="we move to a larger database.")

    answer = client.post(f"{at}keys/new/", {"name": "New"})
    page = client.get(at).content.decode()

    assert answer.status_code == 503
    assert int(answer["Retry-After"]) >= 30
    told = "Nothing can be changed at the moment: we move to a larger database."
    assert told in answer.content.decode()
    assert told in page
    switch("off")
    assert client.post(f"{at}keys/new/", {"name": "New"}).status_code != 503
    assert told not in client.get(at).content.decode()


def test_a_part_of_a_page_loads_the_whole_anew(acme: Any) -> None:
    switch("read_only")
    at = f"/t/{acme.tenant.slug}/keys/new/"
    answer = signed_in(acme).post(at, {"name": "New"}, headers={"HX-Request": "true"})
    assert answer["HX-Refresh"] == "true"


def test_people_sign_in_and_operators_work_meanwhile(acme: Any) -> None:
    switch("read_only")
    entered = {"login": acme.owner.email, "password": acme.password}
    assert Client().post("/accounts/login/", entered).status_code == 302
    path = f"/admin/tenants/{acme.code}/note/"
    assert operator_browser().post(path, {"text": "Told them"}).status_code == 302
    stripe = Client().post("/webhooks/stripe", {}, content_type="application/json")
    assert b"Nothing can be changed" not in stripe.content


def test_read_only_serves_calls_and_refuses_changes_of_keys(gateway: Any) -> None:
    cast = gateway.cast()
    switch("read_only")
    time.sleep(2)  # within a second, on a quiet machine
    assert gateway.chat(cast, "hello").status_code == 200
    refused = gateway.post(cast, "keys", {"name": "New"})
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "service_unavailable"
    assert "Nothing can be changed" in refused.json()["error"]["message"]


def test_a_pause_refuses_new_calls_with_a_time_to_retry(gateway: Any) -> None:
    cast = gateway.cast()
    switch("paused", message="A minute")
    time.sleep(2)
    refused = gateway.chat(cast, "hello")
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "service_unavailable"
    assert float(refused.headers["Retry-After"]) >= 30
    models = requests.get(f"{gateway.url}/v1/models", headers=cast.auth, timeout=10)
    assert models.status_code == 200
    switch("off")
    time.sleep(2)
    assert gateway.chat(cast, "hello").status_code == 200


def test_what_redis_has_forgotten_is_told_again(acme: Any) -> None:
    switch("read_only")
    get_redis().delete("maintenance")
    maintenance.forget()
    assert not maintenance.current().is_on
    publish_maintenance_task()
    assert maintenance.current().is_on


def test_an_operator_switches_it_with_a_reason(acme: Any) -> None:
    client = operator_browser()
    form = {"mode": "read_only", "message": "Moving", "ends_at": "2026-12-01 22:30"}
    assert "Say why." in client.post("/admin/maintenance/", form).content.decode()
    assert not maintenance.current().is_on

    page = client.post("/admin/maintenance/", {**form, "reason": "The move"}, follow=True)

    assert "Until about 2026-12-01 22:30 UTC" in page.content.decode()
    assert maintenance.current().told == (
        "Nothing can be changed at the moment until about 2026-12-01 22:30 UTC: Moving."
    )
    assert "Read-only" in client.get("/admin/").content.decode()
    action = OperatorAction.objects.order_by("-id")[0]
    assert (action.action, action.reason) == ("maintenance.changed", "The move")
    assert action.detail["mode"] == ["off", "read_only"]


def test_a_command_switches_it(acme: Any) -> None:
    out = StringIO()
    with pytest.raises(CommandError, match="reason"):
        call_command("maintenance", "paused")
    call_command("maintenance", "paused", "--reason", "x", "--until", "2026-12-01T22:30")
    call_command("maintenance", stdout=out)
    assert "Paused" in out.getvalue()
    state = json.loads(get_redis().get("maintenance"))
    assert state[:2] == ["paused", ""]
