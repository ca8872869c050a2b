"""What is charged, what is to come, and what it was: for the operator."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from billing.business.charts import rates_chart
from billing.business.figures import Figures, by_model, first_day
from billing.prices.admin import sentence
from billing.prices.markups import PriceHistory, price_history, price_table, to_come
from billing.prices.models import Markup, PriceVersion
from billing.prices.services import as_price
from inference.catalog.models import AIModel
from inference.catalog.previewed import DAYS
from inference.catalog.price_changes import take_back
from inference.catalog.price_notices import about, kind_of, told_of
from tenants.operators.reasons import reason_given
from tenants.operators.services import operator

_KINDS: dict[str, type[PriceVersion] | type[Markup]] = {"price": PriceVersion, "markup": Markup}


@dataclass(frozen=True, slots=True)
class Line:
    """One AI model: what everybody pays, and what its use has brought."""

    name: str
    version: PriceVersion
    figures: Figures | None

    @property
    def pays(self) -> str:
        return sentence(self.version)

    @property
    def is_below_floor(self) -> bool:
        percent = self.figures.margin_percent if self.figures else None
        return percent is not None and percent < settings.MARGIN_FLOOR_PERCENT


@dataclass(frozen=True, slots=True)
class ToCome:
    """tenants_told: of those for whom it makes something dearer."""

    row: PriceVersion | Markup
    tenants_told: int

    @property
    def what(self) -> str:
        return kind_of(self.row)

    @property
    def told(self) -> str:
        return str(self.row) if isinstance(self.row, Markup) else sentence(self.row)


@staff_member_required
@permission_required("prices.view_priceversion", raise_exception=True)
@require_safe
def prices(request: HttpRequest) -> HttpResponse:
    """A handful of statements, however many models and tenants there are."""
    now = timezone.now()
    table, told = price_table(now), told_of()
    used = {row.name: row.figures for row in by_model(first_day(DAYS))}
    names = AIModel.objects.filter(state=AIModel.State.OFFERED).values_list("name", flat=True)
    lines = [
        Line(name, version, used.get(name)) for name in names if (version := table.version(name))
    ]
    context = {
        **admin.site.each_context(request),
        "title": "Prices",
        "lines": lines,
        "unpriced": [name for name in names if name not in table.versions],
        "markups": sorted(table.markups.values(), key=lambda row: (row.tenant_code, row.ai_model)),
        "default_percent": settings.MARKUP_PERCENT,
        "to_come": [ToCome(row, told.get(about(row), 0)) for row in to_come(now)],
        "floor": settings.MARGIN_FLOOR_PERCENT,
        "days": DAYS,
        "may_set": request.user.has_perm("prices.add_markup"),
    }
    return render(request, "admin/prices.html", context)


@staff_member_required
@permission_required("prices.add_markup", raise_exception=True)
@require_POST
def withdraw_price(request: HttpRequest, what: str, pk: int) -> HttpResponse:
    """Of what has not started. A repeat changes nothing."""
    if what not in _KINDS:
        raise Http404
    row: Any = get_object_or_404(_KINDS[what], pk=pk)
    if not (reason := reason_given(request)):
        return redirect("admin_prices")
    if take_back(row, reason=reason, actor=operator(request)):
        messages.success(request, "It will not start.")
    else:
        messages.error(request, "It has started or was withdrawn already: set another one.")
    return redirect("admin_prices")


@staff_member_required
@permission_required("prices.view_priceversion", raise_exception=True)
@require_safe
def history(request: HttpRequest, name: str) -> HttpResponse:
    """All that an AI model has cost everybody, and will."""
    get_object_or_404(AIModel, pk=name)
    known, steps = price_history(), list[tuple[datetime, PriceVersion, Decimal]]()
    for moment in _moments(known, name):
        found = known.table(moment).pair(name)
        if found and (not steps or steps[-1][1:] != found):
            steps.append((moment, *found))
    context = {
        **admin.site.each_context(request),
        "title": f"What {name} has cost",
        "name": name,
        "steps": [
            (moment, version, percent, sentence(version, percent))
            for moment, version, percent in reversed(steps)
        ],
        "chart": json.dumps(
            rates_chart(
                [(moment, as_price(version, percent).rates) for moment, version, percent in steps]
            )
        ),
        "now": timezone.now(),
        "markups": Markup.objects.filter(ai_model=name).exclude(tenant_code=""),
        "may_set": request.user.has_perm("prices.add_priceversion"),
    }
    return render(request, "admin/price_history.html", context)


def _moments(known: PriceHistory, name: str) -> list[datetime]:
    """At which its price can have changed for everybody, or will."""
    moments = [version.starts_at for version in known.versions.get(name, ())]
    for scope in ((name, ""), ("", "")):
        moments += [row.starts_at for row in known.markups.get(scope, ())]
    return sorted(moments)
