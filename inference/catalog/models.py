"""The AI models on offer: shared schema."""

from typing import ClassVar

from django.db import models


class AIModel(models.Model):
    """One AI model: what a client names in `model`, and what is known of it upstream."""

    class State(models.TextChoices):
        """At the provider."""

        OFFERED = "offered"
        RETIRED = "retired", "gone upstream"

    class Status(models.TextChoices):
        """With us: the operator's choice, which outlasts releases."""

        OFFERED = "offered", "Offered"
        HIDDEN = "hidden", "Hidden: in no list, served to whoever names it"
        DRAINING = "draining", "Draining: served to those alone who used it in 30 days"
        OFF = "off", "Off: calls are refused"

    name = models.CharField(max_length=80, primary_key=True, help_text="friendly id")
    upstream_model = models.CharField(max_length=120, help_text="the provider's own id")
    upstream = models.ForeignKey(
        "upstreams.Upstream",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="ai_models",
        help_text="the server that has it; empty: Workers AI, any account of the pool",
    )
    kind = models.CharField(max_length=30, help_text="chat, embeddings, text-to-image, …")
    vendor = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State.choices, db_index=True)
    released_on = models.DateField(null=True, blank=True)
    context_window = models.PositiveIntegerField(null=True, blank=True)
    max_input_tokens = models.PositiveIntegerField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    dimensions = models.PositiveIntegerField(null=True, blank=True, help_text="of an embedding")
    capabilities = models.JSONField(default=list, help_text="streaming, vision, …")
    json_mode = models.CharField(
        max_length=20, blank=True, help_text="how JSON is asked for; empty: it cannot be"
    )
    request_form = models.CharField(max_length=40)
    answer_form = models.CharField(max_length=40)
    vocabulary = models.CharField(max_length=20, help_text="how its tokens compare to o200k's")
    notes = models.TextField(blank=True)

    status = models.CharField(
        max_length=10,
        choices=Status.choices,
        default=Status.OFFERED,
        db_default=Status.OFFERED,
    )
    status_since = models.DateTimeField(null=True, blank=True, editable=False)
    ends_on = models.DateField(
        "served until",
        null=True,
        blank=True,
        help_text="The first day (UTC) on which calls are refused. Programs read it in the "
        "Sunset header of each answer, people on the model’s page. Empty: no day is set.",
    )
    successor = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="What to use instead: messages and pages name it.",
    )
    corrections = models.JSONField(
        default=dict,
        db_default={},
        editable=False,
        help_text="field → the operator's value, which stands in place of the release's",
    )

    class Meta:
        ordering = ("name",)
        verbose_name = "AI model"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["upstream_model", "upstream"],
                nulls_distinct=False,
                name="ai_model_once_per_upstream",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Route(models.Model):
    """A name that clients use for whichever of several AI models the operator chooses.

    It may be the name of an AI model too, and then stands before it.
    """

    name = models.CharField(max_length=80, primary_key=True)
    note = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class RouteCandidate(models.Model):
    """One AI model of a route. Those with a weight share the calls; those without one are
    fallbacks, tried in the order of their position when the others fail."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="candidates")
    ai_model = models.ForeignKey(AIModel, on_delete=models.PROTECT, related_name="+")
    weight = models.PositiveSmallIntegerField(default=1, help_text="0: a fallback")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position", "pk")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["route", "ai_model"], name="route_candidate_once"),
        ]

    def __str__(self) -> str:
        return f"{self.route_id} → {self.ai_model_id}"


class ModelNotice(models.Model):
    """What those who used an AI model are told of its end. Sent once to each of them."""

    ai_model = models.ForeignKey(AIModel, on_delete=models.CASCADE, related_name="notices")
    subject = models.CharField(max_length=150)
    text = models.TextField(max_length=4000)
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        default_permissions = ()

    def __str__(self) -> str:
        return self.subject


class ModelNoticeReceipt(models.Model):
    """A tenant whose people were told; nobody where it has none."""

    notice = models.ForeignKey(ModelNotice, on_delete=models.CASCADE, related_name="receipts")
    tenant_code = models.CharField(max_length=6)
    mails = models.PositiveSmallIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["notice", "tenant_code"], name="notice_once_per_tenant")
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} {self.tenant_code}"


class PriceNotice(models.Model):
    """What one tenant is told of prices that rise, or then do not. Sent once."""

    about = models.CharField(max_length=40, help_text="such as `markup 12`")
    tenant_code = models.CharField(max_length=6)
    subject = models.CharField(max_length=150)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("id",)
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["about", "tenant_code"], name="price_notice_once_per_tenant"
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["id"], name="price_notice_unsent", condition=models.Q(sent_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.about} {self.tenant_code}"


class Comparison(models.Model):
    """One look at Cloudflare's own list of models. Where it failed, what was known stands."""

    account = models.CharField(max_length=40, help_text="the upstream whose list it was")
    started_at = models.DateTimeField(auto_now_add=True)
    models_seen = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class Difference(models.Model):
    """Something that Cloudflare's list has otherwise than our catalogue. Nothing follows from it
    by itself; it goes when both say the same."""

    class What(models.TextChoices):
        NEW = "new", "new there"
        GONE = "gone", "gone there"
        CHANGED = "changed"

    upstream_model = models.CharField(max_length=120)
    what = models.CharField(max_length=7, choices=What.choices)
    field = models.CharField(max_length=60, blank=True, help_text="of a model that has changed")
    ours = models.CharField(max_length=300, blank=True)
    theirs = models.CharField(max_length=300, blank=True)
    first_seen_at = models.DateTimeField(auto_now_add=True)
    dismissed_at = models.DateTimeField(null=True, help_text="while theirs stays what it is")

    class Meta:
        ordering = ("what", "upstream_model", "field")
        default_permissions = ("view", "change")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["upstream_model", "field"], name="difference_once")
        ]

    def __str__(self) -> str:
        return f"{self.upstream_model} {self.what} {self.field}".strip()
