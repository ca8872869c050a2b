"""Everything of a workspace as one file."""

import csv
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from billing.dashboard.tests.builders import USD, as_member, call, settle, signed_in, text
from billing.exports import services
from billing.exports.models import Export
from billing.exports.services import look_after, make_export, request_export
from billing.exports.tasks import make_export_task
from billing.ledger.services import grant_credit
from tenants.audit.services import Actor
from tenants.keys.models import ApiKey
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role

ACTOR = Actor("owner@acme.test")


@pytest.fixture(autouse=True)
def _folder(settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_DIR = str(tmp_path)


def url(cast: Any, path: str = "") -> str:
    return f"/t/{cast.tenant.slug}/settings/data/{path}"


def made(cast: Any) -> Export:
    export = request_export(tenant=cast.tenant, actor=Actor(cast.owner.email))
    assert make_export(export.pk)
    export.refresh_from_db()
    return export


def opened(cast: Any, export: Export) -> zipfile.ZipFile:
    answer = signed_in(cast.owner).get(url(cast, f"exports/{export.pk}/download/"))
    assert answer.status_code == 200
    return zipfile.ZipFile(io.BytesIO(b"".join(answer)))


def table(archive: zipfile.ZipFile, name: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(archive.read(name).decode())))


def test_it_has_everything(acme: Any, globex: Any) -> None:
    call(acme, 1_000_000)
    call(acme, 2_000_000)
    settle(acme)
    call(globex, 5)
    settle(globex)

    archive = opened(acme, made(acme))

    assert archive.testzip() is None
    month = f"usage/calls-{timezone.now():%Y-%m}.csv"
    # Beside what the apps above have in it.
    assert set(archive.namelist()) >= {
        "README.txt",
        "workspace.json",
        "api_keys.json",
        "audit.csv",
        "ledger.csv",
        "usage_days.csv",
        month,
    }
    workspace = json.loads(archive.read("workspace.json"))
    assert workspace["slug"] == acme.tenant.slug
    assert [person["email"] for person in workspace["members"]] == [acme.owner.email]
    assert len(table(archive, month)) == 3
    amounts = [int(row[-1]) for row in table(archive, "ledger.csv")[1:]]
    assert amounts == [25 * USD, 3_000_000]
    assert sum(int(row[-1]) for row in table(archive, "usage_days.csv")[1:]) == 3_000_000
    assert [row[3] for row in table(archive, "audit.csv")[1:]] == [
        "workspace.exported",
        "api_key.created",
        "credit.granted",
    ]


def test_no_secret_is_in_it(acme: Any) -> None:
    with tenant_schema(acme.code):
        digest = ApiKey.objects.get().digest
    archive = opened(acme, made(acme))

    whole = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert digest not in whole
    assert acme.key not in whole
    assert "provider_cost" not in whole
    assert acme.owner.password not in whole


def test_what_begins_like_a_formula_is_none_in_a_spreadsheet(acme: Any) -> None:
    grant_credit(tenant=acme.tenant, amount_nusd=1, reference="=1", actor="test", memo="@SUM(1)")

    last = table(opened(acme, made(acme)), "ledger.csv")[-1]

    assert (last[3], last[4], last[7]) == ("grant:=1", "'@SUM(1)", "1")


def test_it_is_asked_for_on_the_page(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr(make_export_task, "delay", started.append)
    client = signed_in(acme.owner)

    page = client.post(url(acme, "export/"), follow=True)
    again = client.post(url(acme, "export/"), follow=True)

    export = Export.objects.get(tenant=acme.tenant)
    assert started == [export.pk]
    assert "every 2s" in text(page)
    assert "is being made already" in text(again)
    make_export(export.pk)
    done = text(client.get(url(acme, "exports/")))
    assert "Download" in done
    assert "every 2s" not in done
    assert mail.outbox[-1].to == [acme.owner.email]


@pytest.mark.parametrize("role", Role)
def test_who_may_fetch_it(acme: Any, role: Role) -> None:
    export = made(acme)
    client = as_member(acme, role)

    answer = client.get(url(acme, f"exports/{export.pk}/download/"))

    assert answer.status_code == (200 if role in {Role.OWNER, Role.ADMIN} else 403)


def test_another_workspace_s_is_not_fetched(acme: Any, globex: Any) -> None:
    export = made(acme)
    stranger = signed_in(globex.owner)

    for cast in (acme, globex):
        assert stranger.get(url(cast, f"exports/{export.pk}/download/")).status_code == 404
    assert str(export.requested_by) not in text(stranger.get(url(globex)))


def test_it_goes_after_a_day(acme: Any) -> None:
    export = made(acme)
    path = Path(services.settings.EXPORT_DIR) / export.file
    Export.objects.filter(pk=export.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    client = signed_in(acme.owner)

    answer = client.get(url(acme, f"exports/{export.pk}/download/"), follow=True)
    assert "This export is gone" in text(answer)
    look_after()
    assert not path.exists()


def test_a_killed_run_is_started_again(acme: Any) -> None:
    export = request_export(tenant=acme.tenant, actor=ACTOR)
    Export.objects.filter(pk=export.pk).update(
        tries=1, touched_at=timezone.now() - timedelta(minutes=3)
    )

    assert export.pk in look_after()
    assert make_export(export.pk)
    assert not make_export(export.pk)


def test_two_runs_do_not_make_it_twice(acme: Any) -> None:
    export = request_export(tenant=acme.tenant, actor=ACTOR)
    Export.objects.filter(pk=export.pk).update(tries=1)  # another is at it

    assert not make_export(export.pk)


def test_what_never_ends_is_given_up(acme: Any) -> None:
    export = request_export(tenant=acme.tenant, actor=ACTOR)
    Export.objects.filter(pk=export.pk).update(
        tries=3, touched_at=timezone.now() - timedelta(minutes=3)
    )

    assert export.pk not in look_after()
    export.refresh_from_db()
    assert export.state == Export.State.FAILED


def test_a_disk_that_is_full_fails_it(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(services, "_write", full)
    export = request_export(tenant=acme.tenant, actor=ACTOR)

    assert not make_export(export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.FAILED
    assert request_export(tenant=acme.tenant, actor=ACTOR)


def test_there_are_five_a_day(acme: Any) -> None:
    for _ in range(5):
        made(acme)

    with pytest.raises(services.ExportRefusedError, match="At most 5"):
        request_export(tenant=acme.tenant, actor=ACTOR)
