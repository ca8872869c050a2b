"""Pages of usage: sums as charts, single calls, refused calls, and files of all of it."""

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from agentflare.redis_store import RedisDownError
from billing.account.records import FORMATS, export
from billing.dashboard.call_facts import find_facts
from billing.dashboard.call_filters import call_filters, parse_id
from billing.dashboard.periods import PERIODS, period_of
from billing.dashboard.reports import (
    GROUPS,
    MEASURES,
    key_labels,
    keys_of_member,
    members,
    models_used,
    report,
)
from billing.dashboard.words import STATUS, remedy_of
from billing.usage.records import find_records
from billing.usage.refusals import find_refusal, latest_refusals
from billing.usage.selectors import end_buckets
from tenants.keys.models import ApiKey
from tenants.members.access import Workspace, workspace_page

_PAGE = 50


@workspace_page()
def usage(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Charts and totals of a period, by model, key, member or status."""
    period = period_of(request.GET)
    group = _choice(request, "group", GROUPS, "model")
    measure = _choice(request, "measure", MEASURES, "spend")
    labels = key_labels()
    key, member = request.GET.get("key", ""), request.GET.get("member", "")
    model = request.GET.get("model", "").replace("\0", "")[:80]
    key_ids = None
    if key:
        key_ids = [key] if key in labels else []
    elif member:
        key_ids = keys_of_member(member)
    context = {
        "report": report(period, group=group, measure=measure, key_ids=key_ids, ai_model=model),
        "period": period,
        "periods": PERIODS,
        "groups": GROUPS,
        "measures": MEASURES,
        "models": models_used(period),
        "keys": labels,
        "members": members(),
        "chosen": {"key": key, "member": "" if key else member, "model": model},
        "tab": "usage",
    }
    return _page(request, "usage/charts.html", "usage/charts_part.html", context)


@workspace_page()
def calls(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Single calls, newest first, a page at a time."""
    if asked := request.GET.get("request", "").strip():
        number = parse_id(asked)
        if number is not None:
            return _to(request, workspace, number.hex)
    filters = call_filters(request.GET)
    if asked:
        filters.faults["request"] = (
            "A request id looks like req_019aa3b2c4d57e8f9a0b1c2d3e4f5061: it is the x-request-id "
            "of the answer."
        )
    after = parse_id(request.GET.get("after", ""))
    page = find_records(filters.wanted, after=after, limit=_PAGE)
    context = {
        "filters": filters,
        "page": page,
        "asked": asked,
        "next_after": page.next_after and page.next_after.hex,
        "is_first": after is None,
        "keys": key_labels(),
        "statuses": STATUS,
        "models": models_used(filters.period),
        "endpoints": ENDPOINTS,
        "periods": PERIODS,
        "period": filters.period,
        "tab": "calls",
    }
    part = "usage/calls_rows.html" if after else "usage/calls_part.html"
    return _page(request, "usage/calls.html", part, context)


@workspace_page()
def call_detail(request: HttpRequest, workspace: Workspace, request_id: str) -> HttpResponse:
    """One call, wherever it has got to: running, on its way to the ledger, booked, refused."""
    number = parse_id(request_id)
    if number is None:
        raise Http404
    try:
        facts = find_facts(number, workspace.tenant)
        refusal = None if facts else find_refusal(workspace.tenant.code, number.hex)
    except RedisDownError:
        facts, refusal = None, None
        return render(request, "usage/call_unknown.html", {"id": number.hex}, status=503)
    if facts is None and refusal is None:
        return render(request, "usage/call_missing.html", {"id": number.hex}, status=404)
    key_id = facts.record.key_id if facts else refusal.key_id if refusal else ""
    key = ApiKey.objects.filter(key_id=key_id).first()
    if facts is None:
        assert refusal is not None
        context = {"refusal": refusal, "key": key, "remedy": remedy_of(refusal.code)}
        return render(request, "usage/refusal.html", context)
    return render(request, "usage/call.html", {"facts": facts, "record": facts.record, "key": key})


@workspace_page()
def refusals(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """What was refused in a period, by reason; and the latest refusals, as they were told."""
    period = period_of(request.GET)
    ends = end_buckets(start=period.start, end=period.end, width=period.width)
    by_code: dict[str, int] = {}
    for each in ends:
        if each.is_refused:
            by_code[each.end] = by_code.get(each.end, 0) + each.calls
    try:
        latest = latest_refusals(workspace.tenant.code)
    except RedisDownError:
        latest = None
    ranked = sorted(by_code.items(), key=lambda item: -item[1])
    context = {
        "period": period,
        "periods": PERIODS,
        "reasons": [(code, calls, remedy_of(code)) for code, calls in ranked],
        "count": sum(by_code.values()),
        "latest": latest,
        "keys": key_labels(),
        "tab": "refusals",
    }
    return _page(request, "usage/refusals.html", "usage/refusals_part.html", context)


@workspace_page()
def usage_export(request: HttpRequest, workspace: Workspace) -> HttpResponseBase:
    """All calls that the table's filters let through, as a file, streamed."""
    name = _choice(request, "format", dict.fromkeys(FORMATS, ""), "csv")
    filters = call_filters(request.GET)
    return export(workspace.tenant.code, filters.wanted, name)


ENDPOINTS = (
    "chat/completions",
    "completions",
    "messages",
    "embeddings",
    "images/generations",
    "images/edits",
    "images/classifications",
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "moderations",
    "rerank",
    "translations",
    "summaries",
    "classifications",
)


def _choice(request: HttpRequest, name: str, choices: dict[str, str], usual: str) -> str:
    value = request.GET.get(name, usual)
    return value if value in choices else usual


def _page(request: HttpRequest, whole: str, part: str, context: dict[str, object]) -> HttpResponse:
    """The part that has changed for HTMX, else the whole page."""
    is_part = bool(request.htmx) and not request.htmx.history_restore_request  # type: ignore[attr-defined]
    response = render(request, part if is_part else whole, context)
    # One address, two answers: no cache may give one for the other.
    response["Vary"] = "HX-Request, Cookie"
    response["Cache-Control"] = "no-store"
    return response


def _to(request: HttpRequest, workspace: Workspace, request_id: str) -> HttpResponse:
    answer = redirect("call", slug=workspace.slug, request_id=f"req_{request_id}")
    if not request.htmx:  # type: ignore[attr-defined]
        return answer
    there = HttpResponse()
    there["HX-Redirect"] = answer["Location"]
    return there
