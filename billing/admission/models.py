"""The gate's stand-in while Redis is down: shared schema, empty while all is well.

Not in the tenants' schemas: whoever brings Redis up to date needs the rows of all tenants at
once, and nobody owns what is gone again in a minute.
"""

from typing import ClassVar

from django.db import models


class GateStanding(models.Model):
    """What PostgreSQL knows of a Redis: one row for each that has ever been a gate."""

    redis = models.CharField(max_length=200, primary_key=True, help_text="host:port/database")
    down_since = models.DateTimeField(null=True, help_text="PostgreSQL admits since then")

    def __str__(self) -> str:
        return self.redis


class GateProcess(models.Model):
    """A process that admits at a gate, for as long as it lives, and when it last told all."""

    name = models.CharField(max_length=240, primary_key=True)
    redis = models.CharField(max_length=200)
    seen_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True, help_text="what its calls hold, in an outage")

    def __str__(self) -> str:
        return self.name


class FallbackHold(models.Model):
    """A hold that Redis does not know of yet, or whose end it does not know of.

    cost_nusd: None while the call runs; then it is booked in the ledger. is_carried: admitted
    by Redis before the outage. event: as in the hold in Redis.
    """

    request_id = models.UUIDField(primary_key=True)
    redis = models.CharField(max_length=200)
    tenant_code = models.CharField(max_length=20)
    line_id = models.CharField(max_length=8)
    asked_model = models.CharField(max_length=120)
    amount_nusd = models.BigIntegerField()
    tokens = models.BigIntegerField(default=0)
    cost_nusd = models.BigIntegerField(null=True)
    is_carried = models.BooleanField(default=False)
    # Processes of the version before leave these two out.
    windows = models.CharField(
        max_length=3,
        default="",
        db_default="",
        help_text="that count it, '1' or '0': tenant, key, key at model",
    )
    second = models.BigIntegerField(
        default=0, db_default=0, help_text="as Redis counted it; 0: not known"
    )
    event = models.TextField()
    admitted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["redis", "tenant_code"], name="fallback_by_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id.hex} {self.amount_nusd}"


class CountedSecond(models.Model):
    """What was admitted in one second of the last minute, as told in an outage: see told.py.

    process: whose; empty: what PostgreSQL admitted.
    """

    pk = models.CompositePrimaryKey(
        "redis", "process", "tenant_code", "line_id", "asked_model", "second"
    )
    redis = models.CharField(max_length=200)
    process = models.CharField(max_length=240, blank=True)
    tenant_code = models.CharField(max_length=20)
    line_id = models.CharField(max_length=8)
    asked_model = models.CharField(max_length=120)
    second = models.BigIntegerField(help_text="since 1970, by Redis' clock")
    requests = models.BigIntegerField()
    tokens = models.BigIntegerField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["redis", "tenant_code", "second"], name="counted_by_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant_code} {self.second}: {self.requests}"
