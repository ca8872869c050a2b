"""The AI models on offer: shared schema."""

from typing import ClassVar

from django.db import models


class AIModel(models.Model):
    """One AI model: what a client names in `model`, and what is known of it upstream."""

    class State(models.TextChoices):
        OFFERED = "offered"
        RETIRED = "retired", "gone upstream"

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
