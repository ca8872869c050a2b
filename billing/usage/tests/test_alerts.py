"""Alerts when a key has spent a part of its budget."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import mail

from agentflare.partitions import partition_of
from billing.admission.services import admit, capture
from billing.admission.tests.builders import event
from billing.settlement.services import settle_partition
from billing.usage.alerts import tell_alerts
from billing.usage.models import SpendAlert
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key, rotate_api_key
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role
from tenants.users.services import add_member


@pytest.fixture
def key(acme: Any) -> ApiKey:
    row, _ = create_api_key(
        tenant=acme.tenant,
        name="batch",
        actor="test",
        day_budget_nusd=100,
        life_budget_nusd=1_000,
        alert_percents=[50, 80, 100],
    )
    return row


def spend(cast: Any, key: ApiKey, amount_nusd: int) -> None:
    hold = admit(
        event=event(
            cast,
            amount_nusd,
            key_id=key.key_id,
            line_id=key.line_id,
            started_at=datetime.now(UTC).timestamp(),
        )
    )
    capture(hold, hold.event.with_(status="completed", cost_nusd=amount_nusd))
    settle_partition(partition=partition_of(cast.code))


def alerts(cast: Any) -> list[tuple[int, int, int]]:
    with tenant_schema(cast.code):
        rows = SpendAlert.objects.order_by("id")
        return [(row.percent, row.budget_nusd, row.spent_nusd) for row in rows]


def test_each_percentage_is_noted_once(acme: Any, key: ApiKey) -> None:
    spend(acme, key, 49)
    assert alerts(acme) == []

    spend(acme, key, 1)
    assert alerts(acme) == [(50, 100, 50)]
    spend(acme, key, 1)
    assert alerts(acme) == [(50, 100, 50)]
    spend(acme, key, 49)

    assert alerts(acme) == [(50, 100, 50), (80, 100, 100), (100, 100, 100)]


def test_keys_without_budgets_make_no_alerts(acme: Any) -> None:
    row, _ = create_api_key(tenant=acme.tenant, name="free", actor="test")

    spend(acme, row, 1_000)

    assert alerts(acme) == []


def test_a_rotated_key_goes_on_where_the_old_one_was(acme: Any, key: ApiKey) -> None:
    spend(acme, key, 40)
    new, _ = rotate_api_key(tenant=acme.tenant, key_id=key.key_id, actor="test", overlap_s=60)

    spend(acme, new, 10)

    assert alerts(acme) == [(50, 100, 50)]


def test_its_people_get_one_mail_for_the_highest(acme: Any, key: ApiKey) -> None:
    add_member(tenant=acme.tenant, email=f"dev@{acme.code}.test", role=Role.DEVELOPER)
    spend(acme, key, 85)
    mail.outbox.clear()

    assert tell_alerts(acme.tenant) == 2
    assert tell_alerts(acme.tenant) == 0

    (message,) = mail.outbox
    assert message.to == [acme.owner.email]
    assert "has spent 80 % of its budget" in message.subject
    assert f"batch ({key.prefix}…)" in message.body
    assert "$0.000000085" in message.body
    assert f"/t/{acme.tenant.slug}/" in message.body
