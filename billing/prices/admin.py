"""Prices in the admin: read, and followed by newer ones. Never edited.

`inference.catalog.admin` registers this, with the catalogue's names to choose from.
"""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Now
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from billing.prices.markups import base_versions, standing_markups
from billing.prices.models import Markup, PriceVersion, Rate, Unit
from billing.prices.rate_form import RateForm, as_quoted
from billing.prices.services import (
    AT_A_LOSS,
    as_price,
    latest_version,
    note_for_tenant,
    quoted_in,
)
from billing.templatetags.money import usd
from tenants.operators.services import operator
from tenants.registry.models import Tenant


def charge(version: PriceVersion, unit: str, percent: Decimal | None = None) -> str:
    """What a tenant pays, in words: "$0.35 per million". percent: a markup in place of its own."""
    count = quoted_in(unit)
    per = "unit" if count == 1 else "million"
    return f"{usd(as_price(version, percent).charge_nusd({unit: count}))} per {per}"


def sentence(version: PriceVersion, percent: Decimal | None = None) -> str:
    """Such as "input tokens $0.35 per million; output tokens $2.70 per million"."""
    return "; ".join(
        f"{rate.get_unit_display().lower()} {charge(version, rate.unit, percent)}"
        for rate in version.rates.all()
    )


class StartForm(forms.ModelForm):  # type: ignore[type-arg]
    """Of something that starts now or later."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "starts_at" in self.fields:
            self.fields["starts_at"].required = False
            self.fields[
                "starts_at"
            ].help_text = "UTC. Empty: now. Calls that were admitted before keep their price."

    def clean_starts_at(self) -> Any:
        now = timezone.now()
        starts_at = self.cleaned_data["starts_at"] or now
        if starts_at < now:
            raise forms.ValidationError("A price cannot start in the past.")
        return starts_at


def _not_below_zero(percent: Decimal) -> Decimal:
    if percent < 0:
        raise forms.ValidationError(AT_A_LOSS)
    return percent


class PriceVersionForm(StartForm):
    class Meta:
        model = PriceVersion
        fields = ("ai_model", "starts_at", "markup_percent", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "markup_percent" in self.fields:
            self.fields["markup_percent"].initial = settings.MARKUP_PERCENT

    def clean_markup_percent(self) -> Decimal:
        return _not_below_zero(self.cleaned_data["markup_percent"])


class RateFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """A price must have a rate for all that calls of its AI model can use."""

    def required_units(self) -> set[str]:
        latest = latest_version(self.instance.ai_model)
        if latest is None:
            return set()
        units = set(latest.rates.values_list("unit", flat=True))
        # Without a rate of its own, cached input costs what input costs.
        return units - {Unit.CACHED_INPUT_TOKENS}

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        units = {form.cleaned_data["unit"] for form in self.forms if form.cleaned_data}
        if missing := self.required_units() - units:
            names = ", ".join(sorted(Unit(unit).label.lower() for unit in missing))
            raise forms.ValidationError(f"Calls of this AI model also need a rate for: {names}.")


class RateInline(TabularInline):
    model = Rate
    form = RateForm
    formset = RateFormSet
    extra = 1
    min_num = 1
    validate_min = True
    hide_title = True
    readonly_fields = ("costs", "charged")

    def get_extra(
        self, request: HttpRequest, obj: PriceVersion | None = None, **kwargs: Any
    ) -> int:
        """One for each rate that holds now, and one more."""
        latest = latest_version(request.GET.get("ai_model", "")) if obj is None else None
        return self.extra + (latest.rates.count() if latest else 0)

    def get_fields(self, request: HttpRequest, obj: PriceVersion | None = None) -> tuple[str, ...]:
        return ("unit", "costs", "charged") if obj else ("unit", "quoted_neurons", "quoted_usd")

    def has_add_permission(self, request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return obj is None

    def has_change_permission(self, request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return False

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Begin with no unit, so that an empty row stays empty."""
        kwargs["choices"] = db_field.get_choices()
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    @display(description="Costs us")
    def costs(self, rate: Rate) -> str:
        quoted = as_quoted(rate)
        per = "" if quoted_in(rate.unit) == 1 else " per million"
        in_usd = f"${quoted['quoted_usd']}{per}"
        return in_usd if rate.neurons is None else f"{quoted['quoted_neurons']} neurons{per}"

    @display(description="Tenants pay")
    def charged(self, rate: Rate) -> str:
        return charge(rate.price_version, rate.unit)


class PriceVersionAdmin(ModelAdmin):
    """Of each AI model the rates that were set. With whose markup: see Markup."""

    form = PriceVersionForm
    inlines = (RateInline,)

    list_display = ("ai_model", "state", "starts_at", "pays", "markup", "set_by", "note")
    list_filter = ("source",)
    search_fields = ("ai_model", "note")

    def get_fields(self, request: HttpRequest, obj: PriceVersion | None = None) -> tuple[str, ...]:
        form_fields = ("ai_model", "starts_at", "markup_percent", "note")
        return (*form_fields, "source", "state", "created_at") if obj else form_fields

    def get_readonly_fields(
        self, request: HttpRequest, obj: PriceVersion | None = None
    ) -> tuple[str, ...]:
        return ("source", "state", "created_at") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        in_force = (
            base_versions()
            .filter(ai_model=OuterRef("ai_model"), starts_at__lte=Now())
            .order_by("-starts_at", "-id")
            .values("pk")[:1]
        )
        versions: QuerySet[PriceVersion] = super().get_queryset(request)
        return (
            versions.filter(copy_of=None)
            .annotate(in_force=Subquery(in_force))
            .prefetch_related("rates")
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        """With `?ai_model=` it begins with what holds now."""
        data: dict[str, Any] = super().get_changeform_initial_data(request)
        if latest := latest_version(data.get("ai_model", "")):
            data.setdefault("markup_percent", latest.markup_percent)
        return data

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> Any:
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if request.method == "GET" and (latest := latest_version(request.GET.get("ai_model", ""))):
            kwargs["initial"] = [as_quoted(rate) for rate in latest.rates.all()]
        return kwargs

    def has_change_permission(self, request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return False

    def save_model(
        self, request: HttpRequest, obj: PriceVersion, form: forms.Form, change: bool
    ) -> None:
        obj.source = PriceVersion.Source.OPERATOR
        super().save_model(request, obj, form, change)

    @display(
        description="State",
        label={
            "In force": "success",
            "To come": "info",
            "Withdrawn": "default",
            "Followed by another": "default",
        },
    )
    def state(self, version: Any) -> str:
        if version.withdrawn_at:
            return "Withdrawn"
        if version.pk == version.in_force:
            return "In force"
        return "To come" if version.starts_at > timezone.now() else "Followed by another"

    @display(description="Markup", ordering="markup_percent")
    def markup(self, version: PriceVersion) -> str:
        return f"{version.markup_percent.normalize():f} %"

    @display(description="Set by", ordering="source")
    def set_by(self, version: PriceVersion) -> str:
        return str(PriceVersion.Source(version.source).name).capitalize()

    @display(description="Tenants pay")
    def pays(self, version: PriceVersion) -> str:
        return sentence(version)


class MarkupForm(StartForm):
    class Meta:
        model = Markup
        fields = ("ai_model", "tenant_code", "percent", "starts_at")

    def clean_tenant_code(self) -> str:
        code: str = self.cleaned_data["tenant_code"].strip()
        if code and not Tenant.objects.filter(code=code).exists():
            raise forms.ValidationError("No tenant has this code.")
        return code

    def clean_percent(self) -> Decimal | None:
        percent: Decimal | None = self.cleaned_data["percent"]
        return None if percent is None else _not_below_zero(percent)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        is_general = not data.get("ai_model") and not data.get("tenant_code")
        if is_general and data.get("percent") is None and "percent" not in self.errors:
            self.add_error("percent", "Everybody needs a markup: 0 sells at what it costs us.")
        return data


class MarkupAdmin(ModelAdmin):
    """What is put on costs: of everybody, an AI model, a tenant, or a tenant at an AI model."""

    form = MarkupForm
    list_display = ("scope", "state", "put_on", "starts_at", "created_by")
    search_fields = ("ai_model", "tenant_code", "created_by")
    fields = ("ai_model", "tenant_code", "percent", "starts_at")

    def has_change_permission(self, request: HttpRequest, obj: Markup | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Markup | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Markup]:
        in_force = (
            standing_markups()
            .filter(
                ai_model=OuterRef("ai_model"),
                tenant_code=OuterRef("tenant_code"),
                starts_at__lte=Now(),
            )
            .order_by("-starts_at", "-id")
            .values("pk")[:1]
        )
        rows: QuerySet[Markup] = super().get_queryset(request)
        return rows.annotate(in_force=Subquery(in_force))

    def save_model(self, request: HttpRequest, obj: Markup, form: forms.Form, change: bool) -> None:
        actor = operator(request)
        obj.created_by = actor.name
        super().save_model(request, obj, form, change)
        note_for_tenant(obj, actor=actor)

    state = PriceVersionAdmin.state

    @display(description="Markup", ordering="percent")
    def put_on(self, markup: Markup) -> str:
        percent = markup.percent
        return "none of its own" if percent is None else f"{percent.normalize():f} %"
