"""What an export has in it. Everything runs in the tenant's schema; no secret and no digest of
one is in any file, and nothing of what a call cost us."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Max, Min
from django.utils.module_loading import import_string

from agentflare.csv_cells import plain_cell
from billing.account.records import FORMATS
from billing.archive.files import path_of
from billing.ledger.models import Posting
from billing.usage.models import DailyUsage, UsageArchive, UsageRecord
from billing.usage.records import RecordFilter, find_records
from tenants.audit.pages import COLUMNS as AUDIT_COLUMNS
from tenants.audit.pages import row_of
from tenants.audit.selectors import TrailFilter, whole_trail
from tenants.keys.models import ApiKey
from tenants.members.invitations import pending_of
from tenants.members.team import members_of
from tenants.registry.models import Tenant
from tenants.webhooks.models import WebhookEndpoint
from tenants.workspaces.alerts import preferences_of

_BATCH = 500
_PIECE = 1 << 20
_README = """{name}, as AgentFlare had it at {now} UTC.

workspace.json   the workspace, its settings, its members, open invitations, webhooks
api_keys.json    API keys: what they may do, never the keys themselves
audit.csv        who changed what
ledger.csv       every movement of money, in nano-dollars (1,000,000,000 are a dollar)
usage_days.csv   sums by UTC day, key and AI model
usage/           single calls by month
archive/         single calls that were archived: gzip, a JSON object a line
{more}"""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the export, piece by piece. about: its line in the README."""

    name: str
    pieces: Callable[[], Iterator[bytes]]
    about: str = ""


def parts_of(tenant: Tenant) -> list[Part]:
    """All of them, in the order in which they are written."""
    more = [part for name in settings.EXPORT_PARTS for part in import_string(name)()]
    return [
        Part("README.txt", lambda: iter([_readme(tenant, more)])),
        Part("workspace.json", lambda: iter([_json(_workspace(tenant))])),
        Part("api_keys.json", lambda: iter([_json(_keys())])),
        Part("audit.csv", _audit),
        Part("ledger.csv", _ledger),
        Part("usage_days.csv", _days),
        *(Part(f"usage/calls-{month:%Y-%m}.csv", _calls_of(month)) for month in _months()),
        *(
            Part(f"archive/{archive.file.rpartition('/')[2]}", _archived(archive.file))
            for archive in UsageArchive.objects.exclude(done_at=None).order_by("month", "part")
        ),
        *more,
    ]


def _readme(tenant: Tenant, more: list[Part]) -> bytes:
    return _README.format(
        name=tenant.name,
        now=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        more="".join(f"{part.name:16} {part.about}\n" for part in more),
    ).encode()


def _workspace(tenant: Tenant) -> dict[str, Any]:
    chosen = preferences_of(tenant)
    return {
        "name": tenant.name,
        "slug": tenant.slug,
        "code": tenant.code,
        "created_at": tenant.created_at,
        "plan": tenant.plan.name if tenant.plan else None,
        "limits": asdict(tenant.limits),
        "shrink_to_fit": tenant.shrink_to_fit,
        "cache_ttl_s": tenant.cache_ttl_s,
        "alerts": {"roles": chosen.alert_roles, "addresses": chosen.alert_addresses},
        "retention_months": chosen.retention_months,
        "members": [
            {
                "email": member.user.email,
                "name": member.user.name,
                "role": member.role,
                "since": member.membership.created_at,
                "last_seen_at": member.seen_at,
            }
            for member in members_of(tenant)
        ],
        "invitations": [
            {"email": row.email, "role": row.role, "sent_at": row.sent_at}
            for row in pending_of(tenant)
        ],
        "webhooks": list(
            WebhookEndpoint.objects.values("url", "name", "events", "is_enabled", "created_at")
        ),
    }


def _keys() -> list[dict[str, Any]]:
    """All fields but those that are secret, or our own."""
    left_out = {"id", "digest", "member_id"}
    fields = [field.name for field in ApiKey._meta.concrete_fields if field.name not in left_out]
    return list(ApiKey.objects.order_by("created_at").values(*fields))


def _audit() -> Iterator[bytes]:
    yield _csv([AUDIT_COLUMNS])
    for batch in whole_trail(TrailFilter()):
        yield _csv(row_of(event) for event in batch)


def _ledger() -> Iterator[bytes]:
    yield _csv([("entry", "time", "kind", "reference", "memo", "from", "to", "amount_nusd")])
    last = 0
    rows = Posting.objects.select_related("entry").order_by("pk")
    while batch := list(rows.filter(pk__gt=last)[:_BATCH]):
        last = batch[-1].pk
        yield _csv(
            (
                row.entry_id,
                row.entry.created_at.isoformat(),
                row.entry.kind,
                plain_cell(row.entry.reference),
                plain_cell(row.entry.memo),
                row.source_id,
                row.destination_id,
                row.amount_nusd,
            )
            for row in batch
        )


def _days() -> Iterator[bytes]:
    columns = (
        "day",
        "key_id",
        "ai_model",
        "calls",
        "failed_calls",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
        "cost_nusd",
    )
    yield _csv([columns])
    rows = DailyUsage.objects.order_by("pk").values_list("pk", *columns)
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:_BATCH]):
        last = batch[-1][0]
        yield _csv([plain_cell(x) if isinstance(x, str) else x for x in row[1:]] for row in batch)


def _months() -> Iterator[date]:
    """First days of the months that have records."""
    span = UsageRecord.objects.aggregate(first=Min("started_at"), last=Max("started_at"))
    if span["first"] is None:
        return
    month = span["first"].astimezone(UTC).date().replace(day=1)
    while month <= span["last"].astimezone(UTC).date():
        yield month
        month = _next(month)


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _calls_of(month: date) -> Callable[[], Iterator[bytes]]:
    start, end = (datetime(x.year, x.month, 1, tzinfo=UTC) for x in (month, _next(month)))
    _, write = FORMATS["csv"]

    def pieces() -> Iterator[bytes]:
        after, is_first = None, True
        while is_first or after is not None:
            wanted = RecordFilter(start=start, end=end)
            page = find_records(wanted, after=after, limit=_BATCH, oldest_first=True)
            yield write(page, is_first=is_first)
            after, is_first = page.next_after, False

    return pieces


def _archived(name: str) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        with path_of(name).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    return pieces


def _json(value: Any) -> bytes:
    return json.dumps(value, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False).encode()


def _csv(rows: Any) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
