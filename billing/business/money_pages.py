"""The operator's pages of money on its way: the backlog, and calls that the ledger did not take."""

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from agentflare.redis_store import RedisDownError
from billing.business import backlog
from billing.business.charts import backlog_chart
from billing.business.health import queues
from billing.settlement import dead_letters
from tenants.operators.reasons import reason_given
from tenants.operators.services import operator
from tenants.registry.models import Tenant

_SEES = "business.view_queuesample"
_CHANGES = "business.add_creditchange"
_SHOWN = 100
_DOWN = "Redis does not answer: what waits there is not known at the moment."


def _names() -> dict[str, str]:
    return dict(Tenant.objects.values_list("code", "name"))


@staff_member_required
@permission_required(_SEES, raise_exception=True)
@require_safe
def backlog_page(request: HttpRequest) -> HttpResponse:
    names, samples = _names(), backlog.samples()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Settlement",
        "samples": samples[::-1],
        "chart": json.dumps(backlog_chart(samples)),
        "worst": backlog.worst_of(samples),
    }
    try:
        context["queues"] = queues()
        context["waiting"] = [
            (each, [(code, names.get(code, code), count) for code, count in each.tenants])
            for each in backlog.waiting()
        ]
    except RedisDownError:
        context["is_down"] = _DOWN
    return render(request, "admin/backlog.html", context)


@staff_member_required
@permission_required(_SEES, raise_exception=True)
@require_safe
def dead_letters_page(request: HttpRequest) -> HttpResponse:
    """GET ?why=…: those of one reason."""
    names, why = _names(), request.GET.get("why", "")
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Dead letters",
        "why": why,
        "may_change": request.user.has_perm(_CHANGES),
    }
    try:
        every = list(dead_letters.letters())
        context["reasons"] = dead_letters.reasons_of(every)
        every = [each for each in every if not why or each.why == why]
        context |= {
            "letters": [(each, names.get(each.tenant_code, "")) for each in every[:_SHOWN]],
            "count": len(every),
            "cost_nusd": sum(each.cost_nusd for each in every),
        }
    except RedisDownError:
        context["is_down"] = _DOWN
    return render(request, "admin/dead_letters.html", context)


@staff_member_required
@permission_required(_CHANGES, raise_exception=True)
@require_POST
def retry_letters(request: HttpRequest) -> HttpResponse:
    """POST why=…: all of that reason (empty: all); or partition and letter: one."""
    if not (reason := reason_given(request)):
        return redirect("admin_dead_letters")
    try:
        if "letter" in request.POST:
            one = _find(request)
            found = [one] if one else []
        else:
            why = request.POST.get("why", "")
            found = [each for each in dead_letters.letters() if not why or each.why == why]
        sent = dead_letters.retry(found, reason=reason, actor=operator(request))
    except RedisDownError:
        messages.error(request, _DOWN)
    else:
        messages.success(
            request,
            f"{sent} went back to settlement. What it cannot book is here again in seconds, with "
            "its reason."
            if sent
            else "None was there any more.",
        )
    return redirect("admin_dead_letters")


@staff_member_required
@permission_required(_CHANGES, raise_exception=True)
@require_POST
def give_up_letter(request: HttpRequest) -> HttpResponse:
    if not (reason := reason_given(request, why="say why. The tenant reads it.")):
        return redirect("admin_dead_letters")
    try:
        letter = _find(request)
        if letter is None:
            raise dead_letters.DeadLetterError("It is not there any more.")
        dead_letters.give_up(letter, reason=reason, actor=operator(request))
    except dead_letters.DeadLetterError as exc:
        messages.error(request, str(exc))
    except RedisDownError:
        messages.error(request, _DOWN)
    else:
        messages.success(request, "It is given up: nobody pays for that call.")
    return redirect("admin_dead_letters")


def _find(request: HttpRequest) -> dead_letters.DeadLetter | None:
    partition, letter = request.POST.get("partition", ""), request.POST.get("letter", "")
    is_id = letter.replace("-", "", 1).isdecimal() and len(letter) < 40
    if not partition.isdecimal() or not is_id:
        return None
    return dead_letters.find(int(partition[:6]), letter)
