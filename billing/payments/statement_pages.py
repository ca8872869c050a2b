"""The statement: on a page by month, and as a file."""

import csv
from collections.abc import Iterator
from datetime import date
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from agentflare.csv_cells import plain_cell
from agentflare.money import format_usd
from billing.payments.statement import Movement, months, statement
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.registry.schemas import tenant_schema

_HEAD = ("date", "time (UTC)", "what", "note", "reference", "amount (USD)", "balance (USD)")


@workspace_page(Permission.VIEW_BILLING)
@require_GET
def statement_page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    every = months()
    month = _month(request.GET.get("month"), every) or every[0]
    found = statement(month)
    kind = request.GET.get("kind", "")
    shown = [each for each in found.movements if kind in ("", each.kind)]
    kinds = {each.kind: each.words for each in found.movements}
    context = {
        "statement": found,
        "movements": shown[::-1],
        "months": every,
        "month": month,
        "kind": kind,
        "kinds": sorted(kinds.items(), key=lambda item: item[1]),
    }
    return render(request, "billing/statement.html", context)


@workspace_page(Permission.VIEW_BILLING)
@require_GET
def statement_file(request: HttpRequest, workspace: Workspace) -> StreamingHttpResponse:
    """CSV, oldest first: of one month, or `month=all`."""
    every = months()
    asked = request.GET.get("month", "all")
    month = _month(asked, every)
    chosen = [month] if month else every[::-1]
    name = f"{workspace.slug}-statement-{month:%Y-%m}" if month else f"{workspace.slug}-statement"
    return StreamingHttpResponse(
        _lines(workspace.tenant.code, chosen),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


class _Echo:
    """What csv writes to: it wants the line back."""

    def write(self, line: str) -> str:
        return line


def _lines(tenant_code: str, chosen: list[date]) -> Iterator[Any]:
    writer = csv.writer(_Echo())
    yield writer.writerow(_HEAD)
    for month in chosen:
        # Each month by itself: no connection is held while the reader is slow.
        with tenant_schema(tenant_code):
            movements = statement(month).movements
        for movement in movements:
            yield writer.writerow(_cells(movement))


def _cells(movement: Movement) -> list[str]:
    return [
        f"{movement.day:%Y-%m-%d}",
        "" if movement.is_usage else f"{movement.moment:%H:%M:%S}",
        movement.words,
        plain_cell(movement.memo),
        movement.reference,
        format_usd(movement.amount_nusd),
        format_usd(movement.balance_nusd),
    ]


def _month(text: str | None, every: list[date]) -> date | None:
    """Raises Http404 for what is no month of this workspace."""
    if not text or text == "all":
        return None
    for month in every:
        if f"{month:%Y-%m}" == text:
            return month
    raise Http404
