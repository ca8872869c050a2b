"""Prices are shown before they are set: what the last days' use would have brought.

The form is saved, looked at, and taken back; the page shows what came of it, and carries the form
along until somebody says that it is meant.
"""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from billing.business.figures import first_day
from billing.business.price_preview import Preview, preview
from billing.prices.markups import PriceTable, price_history
from inference.catalog.fresh import changed
from inference.catalog.price_changes import tell_tenants
from tenants.operators.reasons import ReasonedAdmin
from tenants.operators.services import operator

DAYS = 30
_CONFIRMED, _TELL = "_confirmed", "_tell"
_KEPT_BACK = ("csrfmiddlewaretoken", _CONFIRMED, _TELL)


class PreviewedAdmin(ReasonedAdmin):
    """Adding is previewed, and known in all processes within a second. To be named first."""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "POST" or _CONFIRMED in request.POST:
            set_at_once: HttpResponse = super().add_view(request, form_url, extra_context)
            return set_at_once
        with transaction.atomic():
            known = price_history()
            answer: HttpResponse = super().add_view(request, form_url, extra_context)
            is_fine = answer.status_code == 302
            if is_fine:
                # With whatever else is to change until then.
                now = timezone.now()
                after = price_history().table(max(request.price_starts_at, now))  # type: ignore[attr-defined]
                shown = preview(known.table(now), after, known=known, since=first_day(DAYS))
                transaction.set_rollback(True)
        return self._preview_page(request, shown, after) if is_fine else answer

    def _preview_page(
        self, request: HttpRequest, shown: Preview, after: PriceTable
    ) -> HttpResponse:
        context = {
            **admin.site.each_context(request),
            "title": "Before this price is set",
            "preview": shown,
            "starts_at": after.moment,
            "days": DAYS,
            "opts": self.opts,
            "kept": [
                (name, value)
                for name, values in request.POST.lists()
                if name not in _KEPT_BACK
                for value in values
            ],
        }
        return render(request, "admin/price_preview.html", context)

    def message_user(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """What is taken back again was not added."""
        if _CONFIRMED in request.POST:
            super().message_user(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        request.price_starts_at = obj.starts_at  # type: ignore[attr-defined]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if _CONFIRMED in request.POST and _TELL in request.POST:
            tell_tenants(form.instance, reason=form.cleaned_data["reason"], actor=operator(request))
        transaction.on_commit(changed)
