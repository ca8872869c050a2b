"""The catalogue in the admin: read here, changed by releases. And prices for what is in it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from billing.prices.admin import (
    PriceVersionAdmin,
    PriceVersionForm,
    RateFormSet,
    RateInline,
    latest_price,
    sentence,
)
from billing.prices.models import PriceVersion, Unit
from inference.catalog.models import AIModel, Route, RouteCandidate


@admin.register(AIModel)
class AIModelAdmin(ModelAdmin):
    list_display = ("name", "vendor", "kind", "label", "context_window", "released_on")
    list_filter = ("state", "kind", "vendor")
    search_fields = ("name", "upstream_model", "vendor")
    fieldsets = (
        (None, {"fields": ("name", "upstream_model", "vendor", "kind", "label", "released_on")}),
        ("Price", {"fields": ("price",)}),
        (
            "What it can do",
            {"fields": ("context_window", "max_output_tokens", "can", "json_mode")},
        ),
        ("How it is called", {"fields": ("request_form", "answer_form", "vocabulary", "notes")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AIModel | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AIModel | None = None) -> bool:
        return False

    @display(description="State", ordering="state", label={"Offered": "success"})
    def label(self, ai_model: AIModel) -> str:
        return ai_model.get_state_display().capitalize()

    @display(description="Capabilities")
    def can(self, ai_model: AIModel) -> str:
        return ", ".join(name.replace("_", " ") for name in ai_model.capabilities)

    @display(description="Tenants pay")
    def price(self, ai_model: AIModel) -> str:
        version = latest_price(ai_model.name)
        return format_html(
            '{} <a class="text-primary-600 underline dark:text-primary-500" href="{}?ai_model={}">'
            "Set a new price</a>",
            sentence(version) if version else "Nothing: without a price it is not served.",
            reverse("admin:prices_priceversion_add"),
            ai_model.name,
        )


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
class RouteAdmin(ModelAdmin):
    """Names that clients use for whichever of several AI models the operator chooses."""

    list_display = ("name", "leads_to", "is_active", "note")
    search_fields = ("name", "note")
    inlines = (RouteCandidateInline,)

    @display(description="Leads to")
    def leads_to(self, route: Route) -> str:
        return ", ".join(
            f"{row.ai_model_id} ({row.weight})" if row.weight else f"else {row.ai_model_id}"
            for row in route.candidates.all()
        )


class CataloguePriceForm(PriceVersionForm):
    """A price for an AI model that there is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "ai_model" in self.fields:
            names = AIModel.objects.filter(state=AIModel.State.OFFERED).values_list("name", "name")
            self.fields["ai_model"] = forms.ChoiceField(
                label="AI model",
                choices=[("", "Choose one"), *names],
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
class CataloguePriceAdmin(PriceVersionAdmin):
    form = CataloguePriceForm
    inlines = (CatalogueRateInline,)
