"""Text that strangers and members have written, on every page that shows it."""

import time
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from billing.dashboard.tests.builders import call, settle
from billing.payments.accounts import billing_account
from billing.payments.models import TopUp
from billing.usage.refusals import Refusal, note_refusal
from conftest import USD, make_cast
from inference.tests.furnished import Furnished, every_address, furnish
from tenants.audit import services as audit
from tenants.keys.models import ApiKey
from tenants.members.models import Invitation
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role, User
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint

pytestmark = pytest.mark.slow  # every page of a workspace

EVIL = "\"'><x-evil>{{7*7}}"
ELSEWHERE = ("v1/", "admin/", "health/", "webhooks/stripe", "metrics")


@pytest.fixture(scope="module")
def furnished(_database: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with override_settings(EXPORT_DIR=str(tmp_path_factory.mktemp("exports"))):
        furnished = furnish(make_cast("acme", credit_nusd=25 * USD))
        spoil(furnished)
        yield furnished


def spoil(furnished: Furnished) -> None:
    """Whatever anybody could have written, and whatever got past a form some day."""
    cast = furnished.cast
    Tenant.objects.filter(pk=cast.tenant.pk).update(
        name=EVIL, suspended_at=timezone.now(), suspension_reason=EVIL
    )
    User.objects.filter(memberships__tenant=cast.tenant).update(name=EVIL)
    Invitation.objects.filter(tenant=cast.tenant).update(email=f"{EVIL}@x.test")
    call(
        cast,
        2_000_000,
        key_id=str(furnished.ours["key_id"]),
        ai_model=EVIL,
        route=EVIL,
        endpoint=EVIL,
        finish_reason=EVIL,
        error_code=EVIL,
        cache_status=EVIL[:10],
    )
    settle(cast)
    refused = Refusal("b" * 32, EVIL[:8], EVIL, EVIL, 400, EVIL, EVIL, time.time())
    note_refusal(cast.code, refused)
    with tenant_schema(cast.code):
        ApiKey.objects.update(name=EVIL, created_by=EVIL, ai_models=[EVIL])
        ApiKey.objects.update(ai_model_limits={EVIL: {"requests_per_minute": 1}})
        WebhookEndpoint.objects.update(url=f"https://x.test/{EVIL}", name=EVIL, events=[EVIL])
        attempt = {"at": EVIL, "ms": 1, "status": 500, "error": EVIL, "answer": EVIL}
        WebhookDelivery.objects.update(event=EVIL, body=EVIL, attempts=[attempt])
        told = dict.fromkeys(("name", "line1", "line2", "city", "state", "tax_id"), EVIL)
        billing_account()
        type(billing_account()).objects.update(
            **told, card_brand=EVIL, payment_method_id="pm_1", auto_error=EVIL
        )
        TopUp.objects.update(
            failure=EVIL, card_brand=EVIL, receipt_url=EVIL, invoice_url=EVIL, created_by=EVIL
        )
        audit.record(actor=EVIL, action=EVIL, subject=EVIL, names=[EVIL, EVIL], **{EVIL: EVIL})


def test_no_page_takes_it_for_markup(furnished: Furnished) -> None:
    client = furnished.client_of(Role.OWNER, headers={"User-Agent": EVIL})
    ids = {"token": EVIL, "key": "x", "uidb36": "x", "pk": 1, **furnished.ours, **furnished.shared}
    shown = set()

    for address in every_address():
        if address.route.startswith(ELSEWHERE):
            continue
        path = address.at(furnished.slug, ids)
        for query in (
            "",
            "?period=7d&group=key&q=%3Cx-evil%3E&request=%3Cx-evil%3E&next=%3Cx-evil%3E",
        ):
            answer = client.get(path + query)
            if answer.streaming or not answer["Content-Type"].startswith("text/html"):
                continue
            page = answer.content.decode()
            assert "<x-evil" not in page, path
            assert "&gt;49" not in page, path
            if "&lt;x-evil&gt;" in page:
                shown.add(address.name)

    # It was there to be taken for it.
    assert shown >= {
        *("overview", "keys", "key", "usage", "calls", "refusals", "team", "member", "webhooks"),
        *("webhook", "webhook_delivery", "audit", "billing_payment", "billing_details"),
        *("settings", "account_profile", "usersessions_list", "key_change"),
    }
