"""Cloudflare's count beside ours, in the operator's admin: read, and marked as explained."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from agentflare.money import neurons_nusd
from billing.reconciliation.comparing import sentence
from billing.reconciliation.models import UpstreamDay
from billing.templatetags.money import usd
from tenants.operators.services import operator, record

State = UpstreamDay.State


class ExplainForm(ActionForm):
    reason = forms.CharField(
        required=False,
        max_length=200,
        label="",
        widget=UnfoldAdminTextInputWidget(
            attrs={"placeholder": "What explains it", "aria-label": "Reason", "autocomplete": "off"}
        ),
    )


@admin.register(UpstreamDay)
class UpstreamDayAdmin(ModelAdmin):
    list_display = (
        "day",
        "upstream",
        "upstream_model",
        "calls",
        "theirs",
        "ours",
        "by",
        "percent",
        "label",
        "looked_at",
    )
    list_display_links = None
    list_filter = ("state", "upstream", "day")
    search_fields = ("upstream", "upstream_model")
    date_hierarchy = "day"
    list_before_template = "admin/reconciliation_note.html"
    actions = ("mark_explained",)
    action_form = ExplainForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UpstreamDay | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "tolerance_percent": f"{settings.RECONCILE_TOLERANCE_PERCENT.normalize():f}",
            "tolerance_neurons": f"{settings.RECONCILE_TOLERANCE_NEURONS.normalize():f}",
            "looked_at_for": settings.RECONCILE_DAYS,
            "is_empty": not UpstreamDay.objects.exists(),
            "beyond": UpstreamDay.objects.filter(state=State.BEYOND).count(),
            "problems": list(
                UpstreamDay.objects.exclude(problem="")
                .order_by("upstream", "-day")
                .distinct("upstream")
            ),
        }
        response: HttpResponse = super().changelist_view(
            request, {**context, **(extra_context or {})}
        )
        return response

    @action(description="Mark as explained: no alarm any more")
    def mark_explained(self, request: HttpRequest, rows: QuerySet[UpstreamDay]) -> None:
        reason = request.POST.get("reason", "").strip()[:200]
        if not reason:
            self.message_user(request, "Reason: say what explains it.", messages.ERROR)
            return
        with transaction.atomic():
            self._explain(request, rows, reason)

    def _explain(self, request: HttpRequest, rows: QuerySet[UpstreamDay], reason: str) -> None:
        # As a list, before they are no longer what is asked for.
        beyond = list(rows.filter(state=State.BEYOND))
        UpstreamDay.objects.filter(pk__in=[row.pk for row in beyond]).update(state=State.EXPLAINED)
        for row in beyond:
            self.log_change(request, row, f"Marked as explained: {sentence(row)}")
            record(
                actor=operator(request),
                action="reconciliation.explained",
                subject=f"{row.day} {row.upstream} {row.upstream_model}",
                reason=reason,
                difference_neurons=str(row.difference),
            )
        self.message_user(request, f"{len(beyond)} of {rows.count()} rows are marked as explained.")

    @display(description="Cloudflare", ordering="cloudflare_neurons")
    def theirs(self, row: UpstreamDay) -> str:
        return _neurons(row.cloudflare_neurons)

    @display(description="Ours", ordering="our_neurons")
    def ours(self, row: UpstreamDay) -> str:
        return _neurons(row.our_neurons)

    @display(description="Difference", ordering="difference")
    def by(self, row: UpstreamDay) -> str:
        if row.difference is None:
            return "–"
        money = usd(neurons_nusd(abs(row.difference)))
        sign = "−" if row.difference < 0 else "+"
        text = f"{sign}{_neurons(abs(row.difference))} ({sign}{money})"
        return format_html('<span class="whitespace-nowrap">{}</span>', text)

    @display(description="Of theirs", ordering="difference_percent")
    def percent(self, row: UpstreamDay) -> str:
        share = row.difference_percent
        if share is None:
            return "–"
        # Less than can be seen has no sign.
        seen = round(share, 2) or Decimal(0)
        return f"{seen:{'+' if seen else ''},.2f}\N{NO-BREAK SPACE}%".replace("-", "−")

    @display(
        description="State",
        ordering="state",
        label={
            State.WITHIN.label: "success",
            State.BEYOND.label: "danger",
            State.EXPLAINED.label: "info",
            State.WAITING.label: "warning",
            State.UNKNOWN.label: "warning",
        },
    )
    def label(self, row: UpstreamDay) -> str:
        return str(State(row.state).label)

    @display(description="Last looked at (UTC)", ordering="compared_at")
    def looked_at(self, row: UpstreamDay) -> str:
        return f"{row.compared_at:%d %b, %H:%M}" if row.compared_at else "never"


def _neurons(count: Decimal | None) -> str:
    return "–" if count is None else f"{count:,.2f}"
