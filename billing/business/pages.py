"""The operator's pages that no model's list shows."""

from datetime import UTC, date, datetime

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from billing.business import closes, figures
from billing.business.models import MonthClose
from billing.payments.amounts import NUSD_PER_CENT
from billing.payments.models import Dispute
from billing.stripe.models import KnownDispute
from tenants.operators.reasons import reason_given
from tenants.operators.services import operator
from tenants.registry.models import Tenant

_DISPUTES_SHOWN = 500


@staff_member_required
@permission_required("business.view_ledgermonth", raise_exception=True)
@require_GET
def close(request: HttpRequest) -> HttpResponse:
    """GET ?month=2026-11&format=csv: a month's close, of every tenant, as a page or a file."""
    months = closes.months()
    month = _month(request.GET.get("month", ""), months)
    rows = closes.close_of(month)
    if request.GET.get("format") == "csv":
        return _file(month, rows)
    made = MonthClose.objects.filter(month=month).first()
    context = {
        **admin.site.each_context(request),
        "title": "Month’s close",
        "made": made,
        "changed": closes.changed_since(made, rows) if made else [],
        "may_hand_over": request.user.has_perm("business.add_monthclose"),
        "month": month,
        "months": months,
        "is_over": month < datetime.now(UTC).date().replace(day=1),
        "columns": closes.COLUMNS[2:],
        "rows": rows,
        "total": closes.total_of(rows),
        "rolled_at": figures.rolled_at(),
    }
    return render(request, "admin/close.html", context)


@staff_member_required
@permission_required("business.add_monthclose", raise_exception=True)
@require_POST
def hand_over(request: HttpRequest) -> HttpResponse:
    """POST month, reason. A repeat changes nothing."""
    month = _month(request.POST.get("month", ""), closes.months())
    if reason := reason_given(request, why="say why, or to whom."):
        try:
            closes.hand_over(month, reason=reason, actor=operator(request))
        except closes.NotOverError as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, "What changes in this month from now on is told here.")
    return redirect(f"{reverse('admin_close')}?month={month:%Y-%m}")


@staff_member_required
@permission_required("stripe.view_knowndispute", raise_exception=True)
@require_GET
def disputes(request: HttpRequest) -> HttpResponse:
    """Of all tenants, the open ones first."""
    names = dict(Tenant.objects.values_list("code", "name"))
    every = list(KnownDispute.objects.all()[:_DISPUTES_SHOWN])
    rows = [
        {
            "dispute": each,
            "tenant": names.get(each.tenant_code, each.tenant_code),
            "amount_nusd": each.amount_cents * NUSD_PER_CENT,
            "credit_nusd": each.credit_cents * NUSD_PER_CENT,
            "outcome": Dispute.Outcome(each.outcome).label,
        }
        for each in sorted(every, key=lambda each: not each.is_open)
    ]
    context = {
        **admin.site.each_context(request),
        "title": "Disputes",
        "rows": rows,
        "stripe_url": "https://dashboard.stripe.com/disputes/",
    }
    return render(request, "admin/disputes.html", context)


def _month(text: str, months: list[date]) -> date:
    """The latest unless another is named. Raises Http404 for one without anything in it."""
    if not text:
        return months[0]
    for month in months:
        if f"{month:%Y-%m}" == text:
            return month
    raise Http404


def _file(month: date, rows: list[closes.Close]) -> HttpResponse:
    name = f"agentflare-close-{month:%Y-%m}.csv"
    return HttpResponse(
        closes.as_csv(rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
