"""AI models in the admin: what is offered, to whom and until when; and corrections of facts.

Facts come with releases. Where the operator knows better, a correction stands in their place until
it is taken back.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import IntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from billing.business.figures import first_day
from billing.business.models import TenantDay
from billing.prices.admin import sentence
from billing.prices.markups import price_table
from billing.templatetags.money import usd
from inference.catalog.fresh import changed
from inference.catalog.models import AIModel, Difference, Route
from inference.catalog.notices import users_of
from inference.catalog.selectors import USED_DAYS
from inference.catalog.services import released_fields
from tenants.operators.reasons import ReasonedAdmin

CORRECTABLE = (
    "context_window",
    "max_input_tokens",
    "max_output_tokens",
    "capabilities",
    "notes",
)
_CAPABILITIES = ("streaming", "function_calling", "reasoning", "vision", "json_mode", "lora")
_SHOWN = 20
Status = AIModel.Status


class AIModelForm(forms.ModelForm):  # type: ignore[type-arg]
    capabilities = forms.MultipleChoiceField(
        required=False,
        choices=[(name, name.replace("_", " ")) for name in _CAPABILITIES],
        widget=forms.CheckboxSelectMultiple,
    )
    as_released = forms.BooleanField(
        required=False,
        label="Take all corrections back",
        help_text="The facts are those of the release again, whatever stands above.",
    )

    class Meta:
        model = AIModel
        fields = ("status", "ends_on", "successor", *CORRECTABLE)
        widgets: ClassVar[dict[str, Any]] = {"notes": UnfoldAdminTextareaWidget()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        released = released_fields(self.instance.name) or {}
        for name in CORRECTABLE:
            if name in self.fields and name in self.instance.corrections:
                was = released.get(name)
                shown = ", ".join(was) if isinstance(was, list) else was
                self.fields[name].help_text = f"Corrected. The release says: {shown or 'nothing'}."
        if not self.instance.corrections:
            self.fields.pop("as_released", None)

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or {}
        ends_on, successor = fields.get("ends_on"), fields.get("successor")
        today = timezone.now().date()
        if "ends_on" in self.changed_data and ends_on and ends_on <= today:
            self.add_error("ends_on", "Choose a day to come, or switch it off at once.")
        if successor and successor.name == self.instance.name:
            self.add_error("successor", "Another model than itself.")
        elif successor and successor.kind != self.instance.kind:
            self.add_error(
                "successor", f"It does other work: {successor.kind}, not {self.instance.kind}."
            )
        elif successor and successor.status in (Status.OFF, Status.DRAINING):
            self.add_error("successor", "It is going itself.")
        return fields


class AIModelAdmin(ReasonedAdmin):
    """A change holds for all processes within seconds."""

    form = AIModelForm
    list_display = (
        "name",
        "label",
        "kind",
        "vendor",
        "calls",
        "revenue",
        "pays",
        "at_cloudflare",
        "ends_on",
    )
    list_filter = ("status", "state", "kind", "vendor")
    search_fields = ("name", "upstream_model", "vendor")
    # Three milliseconds of templates for each line.
    list_per_page = 40
    autocomplete_fields = ("successor",)
    list_before_template = "admin/models_note.html"
    change_form_after_template = "admin/model_after.html"
    readonly_fields = (
        "name",
        "upstream_model",
        "vendor",
        "kind",
        "at_cloudflare",
        "released_on",
        "price",
        "json_mode",
        "request_form",
        "answer_form",
        "vocabulary",
        "status_since",
    )

    fieldsets = (
        (None, {"fields": ("name", "upstream_model", "vendor", "kind", "price")}),
        (
            "Offered",
            {
                "fields": ("status", "status_since", "ends_on", "successor"),
                "description": "A route goes on with its other models when one is off.",
            },
        ),
        (
            "Facts",
            {
                "fields": (*CORRECTABLE, "as_released", "at_cloudflare", "released_on"),
                "description": "Of the release. What you change here stands over releases.",
            },
        ),
        (
            "How it is called",
            {"fields": ("json_mode", "request_form", "answer_form", "vocabulary")},
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without corrections there is nothing to take back; nor for who only looks."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj and obj.corrections and self.has_change_permission(request, obj):
            return fieldsets
        return [
            (name, {**options, "fields": [f for f in options["fields"] if f != "as_released"]})
            for name, options in fieldsets
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AIModel | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AIModel]:
        days = TenantDay.objects.filter(
            ai_model=OuterRef("name"), day__gte=first_day(USED_DAYS)
        ).values("ai_model")

        def sum_of(column: str) -> Any:
            found = days.annotate(sum=Sum(column)).values("sum")
            return Coalesce(Subquery(found, output_field=IntegerField()), 0)

        models: QuerySet[AIModel] = super().get_queryset(request)
        return models.annotate(month_calls=sum_of("calls"), month_nusd=sum_of("cost_nusd"))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        table = price_table(timezone.now())
        for ai_model in changelist.result_list:
            ai_model.price_now = table.version(ai_model.name)
        return changelist

    def save_model(self, request: HttpRequest, obj: AIModel, form: Any, change: bool) -> None:
        if {"status", "ends_on"} & set(form.changed_data) or obj.status_since is None:
            obj.status_since = timezone.now()
        released = released_fields(obj.name)
        if released is not None:
            if form.cleaned_data.get("as_released"):
                for name in obj.corrections:
                    setattr(obj, name, released[name])
                obj.corrections = {}
            else:
                now = {name: getattr(obj, name) for name in CORRECTABLE}
                obj.corrections = {
                    name: value for name, value in now.items() if value != released[name]
                }
        super().save_model(request, obj, form, change)
        transaction.on_commit(changed)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        ai_model = AIModel.objects.filter(pk=object_id or "").first()
        context: dict[str, Any] = {}
        if ai_model:
            users = users_of(ai_model)
            context = {
                "ai_model": ai_model,
                "users": users[:_SHOWN],
                "user_count": len(users),
                "used_days": USED_DAYS,
                "routes": Route.objects.filter(candidates__ai_model=ai_model),
                "notices": ai_model.notices.prefetch_related("receipts")[:_SHOWN],
                "differences": Difference.objects.filter(upstream_model=ai_model.upstream_model),
            }
        answer: HttpResponse = super().changeform_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )
        return answer

    @display(
        description="Status",
        ordering="status",
        label={
            "Offered": "success",
            "Hidden": "info",
            "Draining": "warning",
            "Off": "danger",
            "Gone": "danger",
        },
    )
    def label(self, ai_model: AIModel) -> str:
        """What is gone at Cloudflare is not offered, whatever was chosen."""
        is_gone = ai_model.state == AIModel.State.RETIRED
        return "Gone" if is_gone else ai_model.status.capitalize()

    @display(description="At Cloudflare", ordering="state")
    def at_cloudflare(self, ai_model: AIModel) -> str:
        if ai_model.upstream_id:
            return f"at {ai_model.upstream_id}"
        return str(ai_model.get_state_display())

    @display(description="Calls, 30 days", ordering="month_calls")
    def calls(self, ai_model: Any) -> str:
        return f"{ai_model.month_calls:,}"

    @display(description="Revenue, 30 days", ordering="month_nusd")
    def revenue(self, ai_model: Any) -> str:
        return usd(ai_model.month_nusd)

    @display(description="Tenants pay")
    def pays(self, ai_model: Any) -> str:
        price = ai_model.price_now
        return sentence(price) if price else "no price: not served"

    @display(description="Tenants pay")
    def price(self, ai_model: AIModel) -> str:
        version = price_table(timezone.now()).version(ai_model.name)
        return format_html(
            '{} <a class="text-primary-600 underline dark:text-primary-500" href="{}?ai_model={}">'
            "Set a new price</a>",
            sentence(version) if version else "Nothing: without a price it is not served.",
            reverse("admin:prices_priceversion_add"),
            ai_model.name,
        )


admin.site.register(AIModel, AIModelAdmin)
