"""Stripe's events in the admin: what came, what became of it, and once more."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from billing.stripe.inbox import replay
from billing.stripe.models import StripeEvent

_LABELS = {
    StripeEvent.State.RECEIVED: "info",
    StripeEvent.State.PROCESSED: "success",
    StripeEvent.State.IGNORED: "",
    StripeEvent.State.FAILED: "danger",
}


@admin.register(StripeEvent)
class StripeEventAdmin(ModelAdmin):
    """Read, and replayed; never edited."""

    list_display = ("type", "event_id", "shown_state", "tenant_code", "attempts", "created_at",
                    "next_try_at", "error")  # fmt: skip
    list_filter = ("state", "type")
    search_fields = ("event_id", "payload", "tenant_code")
    readonly_fields = tuple(field.name for field in StripeEvent._meta.fields)
    actions: ClassVar[list[str]] = ["replay"]

    @display(description="State", ordering="state", label=_LABELS)
    def shown_state(self, event: StripeEvent) -> tuple[str, str]:
        return event.state, event.get_state_display()

    @admin.action(description="Look at them once more", permissions=["change"])
    def replay(self, request: HttpRequest, queryset: QuerySet[StripeEvent]) -> None:
        count = 0
        for event in queryset:
            replay(event)
            count += 1
        messages.success(request, f"{count} events are looked at again within ten seconds.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
