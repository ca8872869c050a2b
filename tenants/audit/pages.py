"""The audit trail: who changed what, when, from where."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from typing import Any

from django import forms
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.http import urlencode

from agentflare.csv_cells import plain_cell
from tenants.audit.models import AuditEvent
from tenants.audit.selectors import (
    TrailFilter,
    known_actions,
    known_actors,
    page_of_trail,
    whole_trail,
)
from tenants.audit.words import details, what
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.registry.schemas import tenant_schema

_PAGE_SIZE = 50
_FILTERS = ("actor", "action", "since", "until")
COLUMNS = ("id", "time", "actor", "action", "subject", "ip", "detail")


class FilterForm(forms.Form):
    """What cannot be is as if it were not there: filters come by address."""

    actor = forms.CharField(required=False, max_length=254)
    action = forms.CharField(required=False, max_length=50)
    since = forms.DateField(required=False)
    until = forms.DateField(required=False)
    before = forms.IntegerField(required=False, min_value=1, max_value=2**62)


@workspace_page(Permission.VIEW_AUDIT)
def trail(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    chosen = _chosen(request)
    events = page_of_trail(_filter(chosen), before=chosen.get("before"), limit=_PAGE_SIZE + 1)
    page = events[:_PAGE_SIZE]
    kept = {name: str(chosen[name]) for name in _FILTERS if chosen.get(name)}
    has_older = len(events) > len(page)
    older = urlencode({**kept, "before": str(page[-1].pk)}) if has_older else ""
    context = {
        "rows": [(event, what(event.action), details(event)) for event in page],
        "chosen": kept,
        "actors": known_actors(),
        "actions": [(action, what(action)) for action in known_actions()],
        "query": urlencode(kept),
        "older": older,
        "is_first": not chosen.get("before"),
    }
    return render(request, "audit/trail.html", context)


@workspace_page(Permission.VIEW_AUDIT)
def export(request: HttpRequest, workspace: Workspace) -> StreamingHttpResponse:
    wanted = _filter(_chosen(request))
    return StreamingHttpResponse(
        _as_csv(workspace.tenant.code, wanted),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
    )


def _as_csv(tenant_code: str, wanted: TrailFilter) -> Iterator[bytes]:
    yield _line(COLUMNS)
    batches = _batches(tenant_code, wanted)
    for batch in batches:
        yield b"".join(_line(row_of(event)) for event in batch)


def _batches(tenant_code: str, wanted: TrailFilter) -> Iterator[list[AuditEvent]]:
    """Keeps no connection between two of them: a slow reader holds up nobody."""
    with tenant_schema(tenant_code):
        batches = whole_trail(wanted)
    while True:
        with tenant_schema(tenant_code):
            batch = next(batches, None)
        close_old_connections()
        if batch is None:
            return
        yield batch


def row_of(event: AuditEvent) -> tuple[Any, ...]:
    """A line of the CSV file; what begins like a formula is none."""
    fields = (event.actor, event.action, event.subject, event.ip or "", str(event.detail))
    return (event.pk, event.created_at.isoformat(), *map(plain_cell, fields))


def _line(fields: tuple[Any, ...]) -> bytes:
    text = StringIO()
    csv.writer(text).writerow(fields)
    return text.getvalue().encode()


def _chosen(request: HttpRequest) -> dict[str, Any]:
    form = FilterForm(request.GET)
    form.is_valid()
    return form.cleaned_data


def _filter(chosen: dict[str, Any]) -> TrailFilter:
    since, until = (
        datetime.combine(day, time(), UTC) if (day := chosen.get(name)) else None
        for name in ("since", "until")
    )
    return TrailFilter(
        actor=(chosen.get("actor") or "").replace("\0", ""),
        action=(chosen.get("action") or "").replace("\0", ""),
        since=since,
        until=until + timedelta(days=1) if until else None,
    )
