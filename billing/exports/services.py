"""Making an export, and seeing to it that it is made and goes again.

A run writes the whole file under another name and renames it. One that was killed is found by
the look-after task, and starts anew.
"""

import logging
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zlib import error as ZlibError  # noqa: N812

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_tenants.utils import schema_context

from billing.exports.content import Part, parts_of
from billing.exports.models import LIFE, Export
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.members.mails import page_of, tell
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
State = Export.State

_MOST_TRIES = 3
# In a day, of one workspace.
MOST_A_DAY = 5
# A run that says nothing for so long is dead.
_SILENCE = timedelta(minutes=2)
_TOUCH = timedelta(seconds=1)


class ExportRefusedError(Exception):
    """The text is for whoever asked."""


def request_export(
    *, tenant: Tenant, actor: Actor, action: str = "workspace.exported", reason: str = ""
) -> Export:
    """reason: why an operator does. Raises ExportRefusedError."""
    with schema_context("public"):
        day = timezone.now() - timedelta(days=1)
        if Export.objects.filter(tenant=tenant, created_at__gt=day).count() >= MOST_A_DAY:
            raise ExportRefusedError(f"At most {MOST_A_DAY} exports in a day. Try tomorrow.")
        try:
            with transaction.atomic():
                export = Export.objects.create(tenant=tenant, requested_by=actor.name)
                with tenant_schema(tenant.code):
                    audit.record(actor=actor, action=action, subject=tenant.slug, reason=reason)
        except IntegrityError:
            raise ExportRefusedError("An export is being made already.") from None
    return export


def make_export(export_id: int) -> bool:
    """Whether this run made it; another may be at it, or it is done. Raises nothing that is the
    export's own fault: it fails then."""
    with schema_context("public"), transaction.atomic():
        rows = Export.objects.select_for_update(of=("self",)).select_related("tenant")
        export = rows.filter(pk=export_id, state=State.WORKING).first()
        if export is None or (export.tries and export.touched_at > timezone.now() - _SILENCE):
            return False
        export.tries += 1
        export.touched_at = timezone.now()
        export.save(update_fields=["tries", "touched_at"])
    tenant = export.tenant
    name = f"{tenant.code}/export-{export.pk}.{export.tries}.zip"
    path = Path(settings.EXPORT_DIR) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".unfinished")
        with tenant_schema(tenant.code):
            _write(unfinished, export, parts_of(tenant))
        unfinished.replace(path)
    except (OSError, ZlibError, zipfile.BadZipFile):
        logger.exception("Export %d could not be written", export.pk)
        Export.objects.filter(pk=export.pk).update(state=State.FAILED)
        return False
    now = timezone.now()
    done = Export.objects.filter(pk=export.pk, state=State.WORKING, tries=export.tries).update(
        state=State.READY,
        percent=100,
        file=name,
        size_bytes=path.stat().st_size,
        touched_at=now,
        expires_at=now + LIFE,
    )
    if not done:
        path.unlink(missing_ok=True)
        return False
    tell(
        tenant,
        [export.requested_by],
        "your export is ready",
        f"The export of {tenant.name} can be fetched for a day, by its owners and admins:\n\n"
        f"{page_of(tenant, 'settings_data')}\n",
    )
    return True


def _write(path: Path, export: Export, parts: list[Part]) -> None:
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=5) as out:
        for number, part in enumerate(parts):
            for_free = part.name.endswith(".gz")
            info = zipfile.ZipInfo(part.name, timezone.now().timetuple()[:6])
            info.compress_type = zipfile.ZIP_STORED if for_free else zipfile.ZIP_DEFLATED
            with out.open(info, "w", force_zip64=True) as file:
                for piece in _touching(export, part.pieces(), 100 * number // len(parts)):
                    file.write(piece)


def _touching(export: Export, pieces: Iterator[bytes], percent: int) -> Iterator[bytes]:
    """Notes every second that somebody is at it, and how far."""
    for piece in pieces:
        now = timezone.now()
        if now - export.touched_at > _TOUCH or export.percent != percent:
            export.touched_at, export.percent = now, percent
            Export.objects.filter(pk=export.pk).update(touched_at=now, percent=percent)
        yield piece


def look_after() -> list[int]:
    """Give up what was tried too often, delete what has expired; returns those to make."""
    with schema_context("public"):
        silent = timezone.now() - _SILENCE
        working = Export.objects.filter(state=State.WORKING)
        stopped = working.filter(touched_at__lt=silent)
        stopped.filter(tries__gte=_MOST_TRIES).update(state=State.FAILED)
        for export in Export.objects.filter(expires_at__lt=timezone.now()).exclude(file=""):
            (Path(settings.EXPORT_DIR) / export.file).unlink(missing_ok=True)
            Export.objects.filter(pk=export.pk).update(file="")
        _sweep()
        return list(stopped.filter(tries__lt=_MOST_TRIES).values_list("pk", flat=True)) + list(
            working.filter(tries=0, touched_at__gte=silent).values_list("pk", flat=True)
        )


def _sweep() -> None:
    """What killed runs have left."""
    old = (timezone.now() - 2 * LIFE).timestamp()
    for path in Path(settings.EXPORT_DIR).glob("*/export-*"):
        if path.stat().st_mtime < old:
            path.unlink(missing_ok=True)
