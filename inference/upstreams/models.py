"""Whom we call: shared schema."""

from typing import ClassVar

from django.db import models


class Upstream(models.Model):
    """One Cloudflare account, or one server that speaks OpenAI's API.

    All active Cloudflare accounts form a pool, together with the one that the environment
    names; a server of the other kind has AI models of its own.
    """

    class Provider(models.TextChoices):
        WORKERS_AI = "workers_ai", "Cloudflare Workers AI"
        OPENAI_COMPATIBLE = "openai_compatible", "OpenAI-compatible server"

    class State(models.TextChoices):
        ACTIVE = "active"
        OFF = "off", "off: no new calls, those that run go on"

    name = models.SlugField(max_length=40, primary_key=True)
    provider = models.CharField(max_length=20, choices=Provider.choices)
    # Django's URLField takes no name of one network, as http://vllm:8000 is.
    base_url = models.CharField(
        max_length=300, blank=True, help_text="empty: Cloudflare's own address"
    )
    account_id = models.CharField(max_length=64, blank=True, help_text="Cloudflare's account id")
    gateway_id = models.CharField(
        max_length=64, blank=True, help_text="AI Gateway to go through; empty: none"
    )
    secret = models.TextField(blank=True, editable=False, help_text="API token, encrypted")
    weight = models.PositiveSmallIntegerField(default=1, help_text="its share of the pool's calls")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    requests_per_minute = models.JSONField(
        "limits",
        default=dict,
        blank=True,
        db_default={},
        help_text="Its own limits by kind of work, where they differ from Cloudflare’s usual ones, "
        "as {&quot;chat&quot;: 600}. The pages warn near them; Cloudflare enforces them.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(weight__gte=1), name="upstream_has_weight"),
        ]

    def __str__(self) -> str:
        return self.name
