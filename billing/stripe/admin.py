"""Stripe's events in the admin: what came, what became of it, and once more."""

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.decorators import display

from billing.stripe.inbox import object_of, replay
from billing.stripe.models import StripeEvent
from tenants.operators.read_only import ReadOnlyAdmin, tenant_link
from tenants.operators.reasons import reason_given
from tenants.operators.services import operator, record
from tenants.registry.models import Tenant

_LABELS = {
    StripeEvent.State.RECEIVED: "info",
    StripeEvent.State.PROCESSED: "success",
    StripeEvent.State.IGNORED: "",
    StripeEvent.State.FAILED: "danger",
}
_CHANGE = "stripe.change_stripeevent"


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    """Read, and replayed; never edited."""

    list_display = ("type", "event_id", "shown_state", "of_tenant", "attempts", "created_at",
                    "next_try_at", "error")  # fmt: skip
    list_filter = ("state", "type")
    search_fields = ("event_id", "payload", "tenant_code")
    date_hierarchy = "created_at"
    list_before_template = "admin/stripe_events_note.html"
    change_form_outer_before_template = "admin/stripe_event_replay.html"
    fieldsets = (
        (None, {"fields": ("type", "event_id", "state", "of_tenant", "error")}),
        (
            "When",
            {"fields": ("created_at", "received_at", "attempts", "next_try_at", "processed_at")},
        ),
        ("What Stripe said", {"fields": ("about", "pretty")}),
    )
    readonly_fields = (
        *("type", "event_id", "state", "of_tenant", "error", "created_at", "received_at"),
        *("attempts", "next_try_at", "processed_at", "about", "pretty"),
    )

    @display(description="State", ordering="state", label=_LABELS)
    def shown_state(self, event: StripeEvent) -> tuple[str, str]:
        return event.state, event.get_state_display()

    @display(description="Tenant", ordering="tenant_code")
    def of_tenant(self, event: StripeEvent) -> str:
        return tenant_link(event.tenant_code)

    @display(description="About")
    def about(self, event: StripeEvent) -> str:
        """The ids by which Stripe's dashboard finds it."""
        try:
            told = object_of(event)
        except (ValueError, KeyError, TypeError):
            return "not readable"
        names = ("id", "payment_intent", "customer", "charge", "status", "amount")
        return ", ".join(f"{name} {told[name]}" for name in names if told.get(name))

    @display(description="JSON")
    def pretty(self, event: StripeEvent) -> str:
        try:
            text = json.dumps(json.loads(event.payload), indent=2, ensure_ascii=False)
        except ValueError:
            text = event.payload
        return format_html('<pre class="op-json">{}</pre>', text)

    def get_urls(self) -> list[Any]:
        ours = [
            path("replay-failed/", replay_failed, name="stripe_replay_failed"),
            path("<int:event_pk>/replay/", replay_one, name="stripe_replay"),
        ]
        return [*ours, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        failed = StripeEvent.objects.filter(state=StripeEvent.State.FAILED).count()
        context = {"failed": failed, "may_replay": request.user.has_perm(_CHANGE)}
        answer: HttpResponse = super().changelist_view(
            request, {**(extra_context or {}), **context}
        )
        return answer


@staff_member_required
@permission_required(_CHANGE, raise_exception=True)
@require_POST
def replay_one(request: HttpRequest, event_pk: int) -> HttpResponse:
    """Looked at again within ten seconds. What it asked for is done once, however often."""
    event = get_object_or_404(StripeEvent, pk=event_pk)
    if reason := reason_given(request):
        _replay([event], request, reason)
        messages.success(request, "It is looked at again within ten seconds.")
    return redirect("admin:stripe_stripeevent_change", event_pk)


@staff_member_required
@permission_required(_CHANGE, raise_exception=True)
@require_POST
def replay_failed(request: HttpRequest) -> HttpResponse:
    """All that have failed."""
    if not (reason := reason_given(request)):
        return redirect("admin:stripe_stripeevent_changelist")
    failed = list(StripeEvent.objects.filter(state=StripeEvent.State.FAILED))
    _replay(failed, request, reason)
    messages.success(request, f"{len(failed)} are looked at again within ten seconds.")
    return redirect("admin:stripe_stripeevent_changelist")


def _replay(events: list[StripeEvent], request: HttpRequest, reason: str) -> None:
    tenants = {tenant.code: tenant for tenant in Tenant.objects.all()} if events else {}
    with transaction.atomic():
        for event in events:
            record(
                actor=operator(request),
                action="stripe_event.replayed",
                subject=event.event_id,
                reason=reason,
                tenant=tenants.get(event.tenant_code),
                state=event.state,
                error=event.error[:300],
            )
            replay(event)
