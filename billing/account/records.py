"""Single calls, booked: listed, looked up, and exported as a file of any size."""

import csv
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Any
from uuid import UUID

import orjson
from django.db import close_old_connections
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from agentflare.api import JsonResponse
from agentflare.csv_cells import plain_cell
from agentflare.errors import NotFoundError
from agentflare.money import format_usd, parse_usd
from billing.account.queries import choice, invalid, moment, page_size
from billing.account.views import AccountView
from billing.usage.models import Status
from billing.usage.records import Page, Record, RecordFilter, find_record, find_records
from tenants.registry.schemas import tenant_schema

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100
# Of one query of an export: its rows are all that is in memory, and they are written within some
# milliseconds, for which no other request of the process is served.
_BATCH = 500
# Fields that are not our own words or numbers.
_FROM_OUTSIDE = ("model", "route", "finish_reason", "error_code")


class UsageRecordListView(AccountView):
    """GET /v1/usage/records: the calls, newest first; `after` is the last_id of the page before."""

    def get(self, request: Request) -> JsonResponse:
        query = request.query_params
        wanted = record_filter(query)
        limit = page_size(query, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
        after = _request_id(query["after"]) if query.get("after") else None
        if query.get("after") and after is None:
            raise invalid("after", "the last_id of a page before")
        with tenant_schema(self.tenant_code(request)):
            page = find_records(wanted, after=after, limit=limit)
        data = [record_object(record) for record in page.records]
        last_id = data[-1]["id"] if data else None
        return JsonResponse(
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": f"req_{page.next_after.hex}" if page.next_after else last_id,
                "has_more": page.next_after is not None,
            }
        )


class UsageRecordView(AccountView):
    """GET /v1/usage/records/{request_id}: one call, by the x-request-id of its answer."""

    def get(self, request: Request, request_id: str) -> JsonResponse:
        found = None
        if (number := _request_id(request_id)) is not None:
            with tenant_schema(self.tenant_code(request)):
                found = find_record(number)
        if found is None:
            raise NotFoundError(
                "There is no such usage record. A call arrives here within some seconds of its "
                "end; one that was refused leaves none; old ones may have been archived.",
                code="usage_record_not_found",
            )
        return JsonResponse(record_object(found))


class UsageExportView(AccountView):
    """GET /v1/usage/export: all calls that match, oldest first, as CSV or a JSON object a line."""

    def get(self, request: Request) -> StreamingHttpResponse:
        query = request.query_params
        name = choice(query.get("format", "csv"), FORMATS, param="format")
        wanted = record_filter(query)
        return export(self.tenant_code(request), wanted, name)


def export(tenant_code: str, wanted: RecordFilter, name: str) -> StreamingHttpResponse:
    """name: of FORMATS."""
    content_type, write = FORMATS[name]
    # Now, while there is still a status to refuse with.
    first = _batch(tenant_code, wanted, after=None)
    return StreamingHttpResponse(
        (write(page, is_first=page is first) for page in _pages(tenant_code, wanted, first)),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="usage.{name}"'},
    )


def _pages(tenant_code: str, wanted: RecordFilter, page: Page) -> Iterator[Page]:
    while True:
        yield page
        if page.next_after is None:
            return
        page = _batch(tenant_code, wanted, after=page.next_after)


def _batch(tenant_code: str, wanted: RecordFilter, *, after: UUID | None) -> Page:
    """Keeps neither transaction nor connection: a slow reader must not hold what others need."""
    try:
        with tenant_schema(tenant_code):
            return find_records(wanted, after=after, limit=_BATCH, oldest_first=True)
    finally:
        close_old_connections()


def _as_json_lines(page: Page, *, is_first: bool) -> bytes:
    return b"".join(
        orjson.dumps(record_object(record), option=orjson.OPT_APPEND_NEWLINE)
        for record in page.records
    )


def _as_csv(page: Page, *, is_first: bool) -> bytes:
    text = StringIO()
    writer = csv.writer(text)
    if is_first:
        writer.writerow(COLUMNS)
    for record in page.records:
        told = record_object(record)
        told["quantities"] = orjson.dumps(told["quantities"]).decode()
        told |= {name: plain_cell(told[name]) for name in _FROM_OUTSIDE if told[name]}
        writer.writerow(told[column] for column in COLUMNS)
    return text.getvalue().encode()


FORMATS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "csv": ("text/csv; charset=utf-8", _as_csv),
    "jsonl": ("application/jsonl", _as_json_lines),
}


def record_filter(query: Mapping[str, str]) -> RecordFilter:
    start, end = moment(query, "start_time"), moment(query, "end_time")
    if start and end and start >= end:
        raise invalid("start_time", "a time before end_time")
    return RecordFilter(
        key_id=_text(query, "api_key_id"),
        ai_model=_text(query, "model"),
        endpoint=_text(query, "endpoint").removeprefix("/").removeprefix("v1/"),
        status=choice(query.get("status") or "", ["", *Status.values], param="status"),
        start=start,
        end=end,
        min_cost_nusd=_min_cost(query.get("min_cost") or "0"),
    )


def _text(query: Mapping[str, str], param: str) -> str:
    text = query.get(param) or ""
    if "\0" in text:
        raise invalid(param, "a name")
    return text


def _min_cost(text: str) -> int:
    takes = "dollars, such as 0.05"
    if len(text) > 20:
        raise invalid("min_cost", takes)
    try:
        amount = parse_usd(text)
    except ValueError:
        raise invalid("min_cost", takes) from None
    if not 0 <= amount < 2**63:
        raise invalid("min_cost", takes)
    return amount


def _request_id(text: str) -> UUID | None:
    """`req_…`, as answers tell it, or the bare id."""
    try:
        return UUID(text.strip().removeprefix("req_"))
    except ValueError:
        return None


def record_object(record: Record) -> dict[str, Any]:
    """Moments are seconds since 1970, amounts decimal dollars in strings."""
    return {
        "id": f"req_{record.request_id.hex}",
        "object": "usage_record",
        "api_key_id": record.key_id,
        "endpoint": record.endpoint,
        "model": record.ai_model,
        "route": record.route or None,
        "status": record.status,
        "stream": record.is_stream,
        "started_at": int(record.started_at.timestamp()),
        "first_token_ms": record.first_token_ms,
        "duration_ms": record.duration_ms,
        "input_tokens": record.input_tokens,
        "input_cached_tokens": record.cached_input_tokens,
        "output_tokens": record.output_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "quantities": orjson.loads(record.quantities),
        "known_by": record.truth,
        "held": format_usd(record.estimated_nusd),
        "cost": format_usd(record.cost_nusd),
        "correction": format_usd(record.correction_nusd),
        "price_version": record.price_version_id,
        "cache": record.cache_status or None,
        "finish_reason": record.finish_reason or None,
        "error_code": record.error_code or None,
    }


COLUMNS = (
    "id",
    "api_key_id",
    "endpoint",
    "model",
    "route",
    "status",
    "stream",
    "started_at",
    "first_token_ms",
    "duration_ms",
    "input_tokens",
    "input_cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "quantities",
    "known_by",
    "held",
    "cost",
    "correction",
    "price_version",
    "cache",
    "finish_reason",
    "error_code",
)
