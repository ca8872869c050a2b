"""Nonsense in addresses, queries and forms: whatever is sent to a page, it is never our fault.

A cheap, fixed part of what a fuzzer would try: the values that have ever got through somewhere.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from django.db import transaction
from django.test import Client, override_settings

from conftest import USD, make_cast
from inference.tests.furnished import Address, Furnished, every_address, furnish
from tenants.users.models import Role

pytestmark = pytest.mark.slow  # every address

NONSENSE = {
    "NUL": "\0",
    "a digit that is no decimal": "²",
    "more digits than int() reads": "9" * 5000,
    "the last day": "9999-12-31",
    "the last moment": "9999-12-31T23:59:59-12:00",
    "the first moment": "0001-01-01T00:00:00+12:00",
    "more than a bigint": str(2**64),
    "more than a Decimal": "1e999999999",
    "not a number": "NaN",
    "half a character": "\ud800",
    "a formula": "=1+1",
    "another site": "//evil.example\r\nX: y",
    "something long": "x" * 100_000,
}
# Whatever any page reads out of its query.
QUERY = (
    "action actor after all amount before by can credit endpoint format from group key kind look "
    "measure member min_cost model month n name next page period preset propose proposed q request "
    "session since slug sort status to until window"
)
# Forms as they would be taken, by the names of their addresses.
FORMS = {
    "key_new": "name=mine&scopes=inference&picked_models=&other_models=&alert_percents=50"
    "&expires_on=&ip_ranges=&cache_ttl_s=&requests_per_minute=&day_budget_nusd=&once=1"
    "&at-TOTAL_FORMS=1&at-INITIAL_FORMS=0&at-0-ai_model=m&at-0-tokens_per_minute=1",
    "key_rotate": "overlap_s=3600",
    "first_key": "",
    "team_invite": "email=somebody@people.test&role=viewer",
    "member_role": "role=billing",
    "member_remove": "with_keys=on",
    "member_transfer": "password=correct-horse-1",
    "settings": "name=Acme&slug=acme-again",
    "settings_limits": "requests_per_minute=&tokens_per_minute=&concurrent_calls=",
    "settings_alerts": "roles=owner&addresses=",
    "settings_data": "months=12",
    "settings_close": "slug=acme&credit=on&password=correct-horse-1",
    "webhook_new": "url=https://1.1.1.1/&name=n&events=balance.low",
    "webhook_change": "url=https://1.1.1.1/&name=n&events=balance.low&is_enabled=on",
    "billing_top_up": "amount=25&preset=&saves_card=",
    "billing_auto": "enabled=&threshold=5&amount=25&cap=100",
    "billing_alert": "amount=5",
    "billing_refund": "amount=5",
    "billing_details": "name=Acme&email=a@acme.test&line1=1&country=DE&tax_id_type=eu_vat"
    "&tax_id=DE1&postal_code=1&city=B",
    "new_workspace": "name=Another&slug=another-one",
    "account_profile": "name=Ann",
    "account_email": "email=else@people.test&action_add=",
    "account_change_password": "oldpassword=correct-horse-1&password1=correct-horse-2"
    "&password2=correct-horse-2",
    "account_reauthenticate": "password=correct-horse-1&next=/",
    "mfa_activate_totp": "code=123456",
    "mfa_add_webauthn": "name=mine&credential={}",
}
# The same of who is not signed in.
DOORS = {
    "account_login": "login=a@people.test&password=correct-horse-1&remember=on&next=/",
    "account_signup": "email=b@people.test&password1=correct-horse-1",
    "account_reset_password": "email=c@people.test",
    "mfa_login_webauthn": "credential={}",
}
ELSEWHERE = ("v1/", "admin/", "health/", "webhooks/stripe", "accounts/logout/")


@pytest.fixture(scope="module")
def furnished(_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with override_settings(EXPORT_DIR=str(tmp_path_factory.mktemp("exports"))):
        yield furnish(make_cast("acme", credit_nusd=25 * USD))


@pytest.fixture(autouse=True)
def _settings(settings: Any) -> None:
    settings.SIGNUP_OPEN = True
    # Limits are tested elsewhere.
    settings.ACCOUNT_RATE_LIMITS = False


def pages() -> list[Address]:
    return [each for each in every_address() if not each.route.startswith(ELSEWHERE)]


def encoded(fields: Mapping[str, str]) -> str:
    return urlencode(fields, encoding="utf-8", errors="surrogatepass")


def tried(client: Client, path: str, form: Mapping[str, str] | None = None) -> int:
    """The status; what it has changed is as if it had not been."""
    if form is None:
        answer: Any = client.get(path)
        if answer.streaming:
            b"".join(answer)
        return int(answer.status_code)
    with transaction.atomic():
        answer = client.post(path, encoded(form), content_type="application/x-www-form-urlencoded")
        transaction.set_rollback(True)
    # Else nobody would have looked at the form.
    assert not answer.headers.get("Location", "").startswith("/accounts/login/?"), path
    return int(answer.status_code)


def visitor(furnished: Furnished) -> Client:
    return furnished.client_of(Role.OWNER, raise_request_exception=False)


def ids_of(furnished: Furnished) -> dict[str, Any]:
    made_up = {"token": "x", "key": "x", "uidb36": "x", "pk": 1}
    return {**made_up, **furnished.ours, **furnished.shared}


def with_nonsense(address: Address, furnished: Furnished, value: str) -> Iterator[str]:
    """Its paths, with the value in the place of each parameter in turn."""
    ids = {**ids_of(furnished), "slug": furnished.slug}
    for nonsense in address.parameters:

        def given(found: re.Match[str], name: str = nonsense) -> str:
            here = found["parameter"] or found["group"]
            return quote(value[:500], errors="surrogatepass") if here == name else str(ids[here])

        route = re.sub(r"\^|\$$", "", address.route)
        parameter = r"<(?:\w+:)?(?P<parameter>\w+)>|\(\?P<(?P<group>\w+)>[^)]*\)"
        yield "/" + re.sub(parameter, given, route)


@pytest.mark.parametrize("kind", ["NUL", "half a character", "more than a bigint", "a formula"])
def test_an_address_that_somebody_made_up_leads_nowhere(furnished: Furnished, kind: str) -> None:
    client, value = visitor(furnished), NONSENSE[kind]

    for address in pages():
        for path in with_nonsense(address, furnished, value):
            assert tried(client, path) < 500, path
            assert tried(client, path, {}) < 500, path


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
def test_a_query_of_nonsense_is_no_fault_of_ours(furnished: Furnished, value: str) -> None:
    client = visitor(furnished)
    query = {**dict.fromkeys(QUERY.split(), value[:4000]), "period": "custom"}

    for address in pages():
        path = address.at(furnished.slug, ids_of(furnished))
        assert tried(client, f"{path}?{encoded(query)}") < 500, path


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
def test_a_form_of_nonsense_is_no_fault_of_ours(furnished: Furnished, value: str) -> None:
    by_name = {each.name: each for each in pages()}
    client = visitor(furnished)

    for name, sent in (FORMS | DOORS).items():
        form = dict(parse_qsl(sent, keep_blank_values=True))
        path = by_name[name].at(furnished.slug, ids_of(furnished))
        for field in form:
            if name in DOORS:
                client = Client(raise_request_exception=False)
            elif "sessionid" not in client.cookies or name.startswith("account"):
                client = visitor(furnished)
            assert tried(client, path, {**form, field: value}) < 500, (path, field)
