"""The AI models on offer: shared schema."""

from django.db import models


class AIModel(models.Model):
    """One AI model: what a client names in `model`, and what is known of it upstream."""

    class State(models.TextChoices):
        OFFERED = "offered"
        RETIRED = "retired", "gone upstream"

    name = models.CharField(max_length=80, primary_key=True, help_text="friendly id")
    upstream_model = models.CharField(max_length=120, unique=True, help_text="Cloudflare's id")
    kind = models.CharField(max_length=30, help_text="chat, embeddings, text-to-image, …")
    vendor = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State.choices, db_index=True)
    released_on = models.DateField(null=True, blank=True)
    context_window = models.PositiveIntegerField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
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

    def __str__(self) -> str:
        return self.name
