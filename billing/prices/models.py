"""What we charge: dated sets of rates, shared schema. Never edited, only followed by newer ones."""

from decimal import Decimal
from typing import ClassVar

from django.db import models

from agentflare.money import NUSD_PER_NEURON
from tenants.registry.models import Tenant


class Unit(models.TextChoices):
    """What we count. Each rate is for one of it: one token, one minute, one tile."""

    INPUT_TOKENS = "input_tokens"
    CACHED_INPUT_TOKENS = "cached_input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    CHARACTERS = "characters"
    AUDIO_MINUTE = "audio_minute"
    AUDIO_MINUTE_WEBSOCKET = "audio_minute_websocket"
    IMAGES = "images"
    REQUESTS = "requests"
    STEP = "step"
    OUTPUT_TILE = "output_tile_512"
    INPUT_TILE = "input_tile_512"
    OUTPUT_TILE_STEP = "output_tile_512_step"
    INPUT_TILE_STEP = "input_tile_512_step"
    FIRST_MEGAPIXEL = "first_megapixel"
    SUBSEQUENT_MEGAPIXEL = "subsequent_megapixel"
    INPUT_MEGAPIXEL = "input_image_megapixel"


class PriceVersion(models.Model):
    """The rates of one AI model from `starts_at` until the next version starts.

    A copy has the rates of another version with a markup of somebody's (see Markup): what a call
    cost follows from its version alone, whoever's it was.
    """

    class Source(models.TextChoices):
        CATALOGUE = "catalogue", "Cloudflare's price with the default markup"
        OPERATOR = "operator", "set by the operator"

    ai_model = models.CharField("AI model", max_length=80, db_index=True)
    starts_at = models.DateTimeField()
    markup_percent = models.DecimalField(max_digits=7, decimal_places=2)
    source = models.CharField(max_length=10, choices=Source.choices)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, editable=False, help_text="before it started")
    copy_of = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, editable=False, related_name="copies"
    )

    class Meta:
        ordering = ("ai_model", "-starts_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["copy_of", "markup_percent"], name="price_copy_once_per_markup"
            ),
            models.CheckConstraint(
                condition=models.Q(markup_percent__gte=0), name="price_markup_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ai_model} from {self.starts_at:%Y-%m-%d}"


class Rate(models.Model):
    """What one unit costs us: in neurons at Cloudflare, in nUSD elsewhere, never both.

    What a tenant pays follows from the version's markup.
    """

    price_version = models.ForeignKey(PriceVersion, on_delete=models.CASCADE, related_name="rates")
    unit = models.CharField(max_length=30, choices=Unit.choices)
    neurons = models.DecimalField(
        max_digits=24, decimal_places=12, null=True, blank=True, help_text="for one unit"
    )
    nusd = models.DecimalField(
        "nUSD", max_digits=24, decimal_places=12, null=True, blank=True, help_text="for one unit"
    )

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["price_version", "unit"], name="rate_once_per_unit"),
            models.CheckConstraint(
                condition=models.Q(neurons__isnull=False, neurons__gte=0, nusd__isnull=True)
                | models.Q(nusd__isnull=False, nusd__gte=0, neurons__isnull=True),
                name="rate_in_one_currency",
                violation_error_message="A rate is in neurons or in nUSD: one of the two, "
                "and not below zero.",
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_unit_display())

    def provider_nusd(self) -> Decimal:
        """What one unit costs us, in nUSD."""
        if self.neurons is not None:
            return self.neurons * NUSD_PER_NEURON
        assert self.nusd is not None
        return self.nusd


class Markup(models.Model):
    """What is put on costs from `starts_at` until the next one of the same scope starts.

    Scopes, the first that says something decides: a tenant at an AI model, a tenant, an AI model,
    everybody (billing/prices/markups.py). Never edited; before it starts it can be withdrawn.
    """

    ai_model = models.CharField("AI model", max_length=80, blank=True, help_text="empty: all")
    tenant_code = models.CharField(max_length=6, blank=True, help_text="empty: all tenants")
    percent = models.DecimalField(
        max_digits=7,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="Put on what a call costs us. Empty: from then on this scope says nothing any "
        "more, and the next wider one decides.",
    )
    starts_at = models.DateTimeField()
    created_by = models.CharField(max_length=254, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, editable=False, help_text="before it started")

    class Meta:
        ordering = ("-starts_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(percent__isnull=True) | models.Q(percent__gte=0),
                name="markup_not_negative",
            ),
        ]

    def __str__(self) -> str:
        percent = "none of its own" if self.percent is None else f"{self.percent.normalize():f} %"
        return f"{self.scope}: {percent} from {self.starts_at:%Y-%m-%d %H:%M} UTC"

    @property
    def tenant(self) -> Tenant | None:
        """Whose prices it is about, where it is one tenant's."""
        return Tenant.objects.filter(code=self.tenant_code).first() if self.tenant_code else None

    @property
    def scope(self) -> str:
        who = f"tenant {self.tenant_code}" if self.tenant_code else "all tenants"
        return f"{who}, {self.ai_model or 'all AI models'}"
