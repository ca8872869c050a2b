"""Routes in the admin, and prices for what is in the catalogue. Models: model_admin.py."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from billing.prices.admin import (
    MarkupAdmin,
    MarkupForm,
    PriceVersionAdmin,
    PriceVersionForm,
    RateFormSet,
    RateInline,
)
from billing.prices.models import Markup, PriceVersion, Unit
from inference.catalog import model_admin  # noqa: F401  # registers AIModel
from inference.catalog.fresh import changed
from inference.catalog.models import AIModel, Route, RouteCandidate
from inference.catalog.previewed import PreviewedAdmin
from inference.catalog.selectors import catalogue
from tenants.operators.reasons import ReasonedAdmin


class RouteCandidateFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """A route leads somewhere, and all its AI models do the same work."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        rows = [form.cleaned_data for form in self.forms if form.cleaned_data]
        kinds = {row["ai_model"].kind for row in rows if not row.get("DELETE")}
        if not kinds:
            raise forms.ValidationError("A route needs at least one AI model.")
        if len(kinds) > 1:
            raise forms.ValidationError(
                f"These AI models do different work: {', '.join(sorted(kinds))}."
            )


class RouteCandidateInline(TabularInline):
    model = RouteCandidate
    formset = RouteCandidateFormSet
    fields = ("ai_model", "weight", "position")
    autocomplete_fields = ("ai_model",)
    extra = 1
    hide_title = True


@admin.register(Route)
class RouteAdmin(ReasonedAdmin):
    """Names that clients use for whichever of several AI models the operator chooses."""

    list_display = ("name", "leads_to", "label", "is_active", "note")
    list_filter = ("is_active",)
    search_fields = ("name", "note")
    inlines = (RouteCandidateInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        routes: QuerySet[Route] = super().get_queryset(request)
        return routes.prefetch_related("candidates")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        transaction.on_commit(changed)

    @display(description="Leads to")
    def leads_to(self, route: Route) -> str:
        """Shares of the calls, then the fallbacks in order."""
        rows = list(route.candidates.all())
        whole = sum(row.weight for row in rows)
        return ", ".join(
            f"{row.ai_model_id} ({100 * row.weight / whole:.0f} %)"
            if row.weight
            else f"else {row.ai_model_id}"
            for row in rows
        )

    @display(
        description="Now",
        label={"Well": "success", "Leads nowhere": "danger", "Switched off": "default"},
    )
    def label(self, route: Route) -> str:
        if not route.is_active:
            return "Switched off"
        names = [row.ai_model_id for row in route.candidates.all()]
        offers = catalogue().offers
        served = [name for name in names if name in offers]
        ending = [name for name in served if offers[name].deprecated_at is not None]
        if not served:
            return "Leads nowhere"
        if missing := [name for name in names if name not in offers]:
            return f"Without {', '.join(missing)}, not served"
        return f"{', '.join(ending)} ends" if ending else "Well"


class CataloguePriceForm(PriceVersionForm):
    """A price for an AI model that there is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose_model(self, "Choose one")


class CatalogueMarkupForm(MarkupForm):
    """For an AI model that there is, or all of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose_model(self, "All AI models", required=False)


def _choose_model(form: Any, nothing: str, *, required: bool = True) -> None:
    if "ai_model" not in form.fields:
        return
    names = AIModel.objects.filter(state=AIModel.State.OFFERED).values_list("name", "name")
    form.fields["ai_model"] = forms.ChoiceField(
        label="AI model",
        required=required,
        choices=[("", nothing), *names],
        widget=UnfoldAdminSelectWidget,
    )


class CatalogueRateFormSet(RateFormSet):
    def required_units(self) -> set[str]:
        units = super().required_units()
        if AIModel.objects.filter(name=self.instance.ai_model, kind="chat").exists():
            units |= {Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS}
        return units


class CatalogueRateInline(RateInline):
    formset = CatalogueRateFormSet


@admin.register(PriceVersion)
class CataloguePriceAdmin(PreviewedAdmin, PriceVersionAdmin):
    form = CataloguePriceForm
    inlines = (CatalogueRateInline,)


@admin.register(Markup)
class CatalogueMarkupAdmin(PreviewedAdmin, MarkupAdmin):
    form = CatalogueMarkupForm
