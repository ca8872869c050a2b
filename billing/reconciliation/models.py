"""What Cloudflare counts beside what we count: shared schema, over all tenants."""

from typing import ClassVar

from django.db import models


class UpstreamDay(models.Model):
    """One UTC day of one AI model at one account: Cloudflare's neurons, and ours.

    upstream: our name of the account; of several names for the same account, the first. Ours are
    the sums of all tenants, by the day their calls started on. `difference` is Cloudflare's less
    ours, and goes with `state`: both are of the last look.
    """

    class State(models.TextChoices):
        WITHIN = "within", "within tolerance"
        BEYOND = "beyond", "beyond tolerance"
        EXPLAINED = "explained", "beyond tolerance, explained"
        WAITING = "waiting", "waiting for Cloudflare's figures"
        UNKNOWN = "unknown", "not compared yet"

    upstream = models.CharField("account", max_length=40)
    upstream_model = models.CharField("AI model", max_length=120)
    day = models.DateField("UTC day")
    calls = models.PositiveBigIntegerField(default=0)
    our_neurons = models.DecimalField(max_digits=30, decimal_places=6, default=0)
    cloudflare_neurons = models.DecimalField(
        "Cloudflare's neurons", max_digits=30, decimal_places=6, null=True
    )
    difference = models.DecimalField(
        max_digits=30, decimal_places=6, null=True, help_text="Cloudflare's less ours"
    )
    difference_percent = models.DecimalField(
        max_digits=12,
        decimal_places=3,
        null=True,
        help_text="of Cloudflare's; empty where it has none",
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.UNKNOWN)
    problem = models.CharField(
        max_length=300, blank=True, help_text="why Cloudflare's figures could not be had"
    )
    compared_at = models.DateTimeField("last looked at", null=True)

    class Meta:
        ordering = ("-day", "upstream", "upstream_model")
        verbose_name = "reconciled day"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["day", "upstream", "upstream_model"], name="reconciled_once_per_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.upstream} {self.upstream_model}"


class AwaitedFigure(models.Model):
    """A booked call whose use we have counted ourselves, and AI Gateway's log can tell.

    Written with its usage record, gone once the log was read or a day is over.
    """

    request_id = models.UUIDField(primary_key=True)
    tenant_code = models.CharField(max_length=20)
    upstream = models.CharField(max_length=40)
    gateway_log_id = models.CharField(max_length=64)
    is_whole = models.BooleanField(help_text="all that was made was delivered")
    due_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["upstream", "due_at"], name="awaited_by_upstream"),
        ]

    def __str__(self) -> str:
        return self.request_id.hex
