import time
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError

from agentflare.errors import InvalidApiKeyError, TenantSuspendedError
from agentflare.redis_store import get_redis
from tenants.audit.models import AuditEvent
from tenants.keys import lookup
from tenants.keys.format import LENGTH, checksum, make_key, parse_key
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key, list_api_keys, revoke_api_key
from tenants.keys.tasks import save_last_used_task
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import resume_tenant, suspend_tenant


def test_a_key_tells_its_tenant_and_passes_its_own_checksum() -> None:
    key = make_key("abc123")
    parts = parse_key(key)

    assert parts is not None
    assert parts.tenant_code == "abc123"
    assert len(key) == LENGTH
    assert key.startswith("oi_")
    assert key.removeprefix("oi_").isalnum()


def test_any_single_typo_is_seen_without_asking_a_store() -> None:
    key = make_key("abc123")

    for position in range(3, len(key)):
        wrong = "a" if key[position] != "a" else "b"
        assert parse_key(key[:position] + wrong + key[position + 1 :]) is None


@pytest.mark.parametrize("noise", ["", "oi_", "sk-" + "x" * 52, "oi_" + "é" * 52, "x" * 10_000])
def test_noise_is_no_key(noise: str) -> None:
    assert parse_key(noise) is None


@pytest.mark.parametrize("code", ["a}b{p1", "a:b:c:", "a b\nc\x00"])
def test_a_right_checksum_does_not_carry_other_characters_into_a_store(code: str) -> None:
    body = f"oi_{code}" + "x" * 40

    assert parse_key(body + checksum(body)) is None


def test_the_key_itself_is_kept_nowhere(acme: Any) -> None:
    lookup.resolve_key(acme.key)

    with tenant_schema(acme.code):
        (row,) = ApiKey.objects.values()
    secret = acme.key[17:]
    assert secret not in str(row)
    assert acme.key.startswith(row["prefix"])
    # Django's own cache, beside it, is pickled.
    for name in get_redis().scan_iter(match="{p*key*"):
        if get_redis().type(name) == "string":
            value = get_redis().execute_command("GET", name, NEVER_DECODE=True) or b""
            assert secret.encode() not in value


def test_a_warm_key_needs_no_postgresql(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup.resolve_key(acme.key)
    lookup.forget_all()

    def down(*_: Any) -> None:
        raise OperationalError("PostgreSQL is down")

    monkeypatch.setattr(lookup, "_from_postgresql", down)

    assert lookup.resolve_key(acme.key).tenant_code == acme.code


def test_an_old_record_stands_while_postgresql_is_down(
    acme: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    lookup.resolve_key(acme.key)
    lookup.forget_all()
    settings.API_KEY_REFRESH_S = 0

    def down(*_: Any) -> None:
        raise OperationalError("PostgreSQL is down")

    monkeypatch.setattr(lookup, "_from_postgresql", down)

    assert lookup.resolve_key(acme.key).tenant_code == acme.code


def test_a_revoked_key_is_refused_everywhere_within_a_second(acme: Any) -> None:
    record = lookup.resolve_key(acme.key)

    revoke_api_key(tenant=acme.tenant, key_id=record.key_id, actor="test")

    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            lookup.resolve_key(acme.key)
        except InvalidApiKeyError:
            break
        time.sleep(0.01)
    with pytest.raises(InvalidApiKeyError, match="revoked"):
        lookup.resolve_key(acme.key)


def test_a_revocation_that_redis_missed_heals_by_itself(acme: Any, settings: Any) -> None:
    record = lookup.resolve_key(acme.key)
    revoke_api_key(tenant=acme.tenant, key_id=record.key_id, actor="test")
    # Redis came back with the record as it was before the revocation.
    name = lookup._redis_key(acme.code, record.key_id)
    digest = parse_key(acme.key)
    assert digest is not None
    get_redis().set(name, f'["{digest.digest}","test",0]')
    lookup.forget_all()

    with pytest.raises(InvalidApiKeyError, match="revoked"):
        lookup.resolve_key(acme.key)
    assert get_redis().get(name) == f"revoked{digest.digest}"


def test_a_slow_reader_cannot_bring_a_revoked_key_back(acme: Any) -> None:
    record = lookup.resolve_key(acme.key)
    with tenant_schema(acme.code):
        row = ApiKey.objects.get(key_id=record.key_id)
    lookup.tombstone(tenant_code=acme.code, row=row)
    parts = parse_key(acme.key)
    assert parts is not None

    # It read the row before the revocation, and writes after it.
    lookup._from_postgresql(parts)

    lookup.forget_all()
    with pytest.raises(InvalidApiKeyError):
        lookup.resolve_key(acme.key)


def test_who_knows_only_a_revoked_keys_beginning_is_told_nothing_of_it(acme: Any) -> None:
    record = lookup.resolve_key(acme.key)
    revoke_api_key(tenant=acme.tenant, key_id=record.key_id, actor="test")
    lookup.forget_all()
    guess = acme.key[:-1] + ("a" if acme.key[-1] != "a" else "b")

    with pytest.raises(InvalidApiKeyError, match="Incorrect"):
        lookup.resolve_key(guess)
    with pytest.raises(InvalidApiKeyError, match="revoked"):
        lookup.resolve_key(acme.key)


def test_a_key_of_right_form_that_nobody_made_is_refused(acme: Any) -> None:
    with pytest.raises(InvalidApiKeyError):
        lookup.resolve_key(make_key(acme.code))
    with pytest.raises(InvalidApiKeyError):
        lookup.resolve_key(make_key("zzzzzz"))


def test_another_secret_with_the_id_of_a_real_key_is_refused(acme: Any) -> None:
    lookup.resolve_key(acme.key)
    body = acme.key[:17] + "0" * 32
    forged = body + checksum(body)

    with pytest.raises(InvalidApiKeyError):
        lookup.resolve_key(forged)


def test_revoking_again_changes_nothing_and_is_audited_once(acme: Any) -> None:
    (key,) = list_api_keys(tenant=acme.tenant)
    first = revoke_api_key(tenant=acme.tenant, key_id=key.key_id, actor="test")
    second = revoke_api_key(tenant=acme.tenant, key_id=key.key_id, actor="test")

    assert first.revoked_at == second.revoked_at
    with tenant_schema(acme.code):
        assert AuditEvent.objects.filter(action="api_key.revoked").count() == 1


def test_a_tenant_cannot_revoke_the_key_of_another(acme: Any, globex: Any) -> None:
    (theirs,) = list_api_keys(tenant=acme.tenant)

    with pytest.raises(ApiKey.DoesNotExist):
        revoke_api_key(tenant=globex.tenant, key_id=theirs.key_id, actor="test")

    lookup.forget_all()
    lookup.resolve_key(acme.key)


def test_last_use_is_saved(acme: Any) -> None:
    record = lookup.resolve_key(acme.key)
    lookup.note_use(record, ip="203.0.113.9")

    save_last_used_task()

    (key,) = list_api_keys(tenant=acme.tenant)
    assert key.last_used_at is not None
    assert key.last_used_ip == "203.0.113.9"


def test_keys_of_a_suspended_tenant_are_refused_with_the_reason(acme: Any) -> None:
    suspend_tenant(tenant=acme.tenant, reason="fraud check", actor="test")
    with pytest.raises(TenantSuspendedError, match="fraud check"):
        lookup.resolve_key(acme.key)

    resume_tenant(tenant=acme.tenant, actor="test")
    lookup.resolve_key(acme.key)


def test_commands_list_and_revoke_keys_without_showing_them(acme: Any) -> None:
    _, key = create_api_key(tenant=acme.tenant, name="second", actor="test")
    out = StringIO()
    call_command("revoke_api_key", acme.tenant.slug, key, stdout=out)
    call_command("list_api_keys", acme.tenant.slug, stdout=out)

    assert key not in out.getvalue()
    assert [k.name for k in list_api_keys(tenant=acme.tenant) if k.is_active] == ["test"]
