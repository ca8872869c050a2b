"""What each call used and cost, and its sums by hour and day: tenant's schema."""

from typing import ClassVar

from django.db import models


class Status(models.TextChoices):
    """How a call ended."""

    COMPLETED = "completed"
    EMPTY = "empty", "nothing came back"
    CLIENT_GONE = "client_gone", "the client left before the end"
    UPSTREAM_FAILED = "upstream_failed", "upstream failed before the first token"
    UPSTREAM_BROKE = "upstream_broke", "upstream failed after the first token"
    STOPPED = "stopped", "its workspace was suspended in the middle"
    PROCESS_DIED = "process_died", "our own process died during the call"


class Truth(models.TextChoices):
    """How a record's quantities are known."""

    PROVIDER = "provider", "upstream said so"
    COUNTED = "counted", "counted from what was relayed"
    ESTIMATED = "estimated"
    RECONCILED = "reconciled", "told later, by the provider's log of the call"


class UsageRecord(models.Model):
    """The facts of one call. Written by settlement, and corrected once at most, when the provider's
    own figures arrive: then `first_figures` has what was booked first, and `correction_nusd` what
    the tenant has paid more (or less) since, which is part of `cost_nusd` and has an entry of its
    own.

    request_id: a UUID of version 7, made when the call arrived: it sorts by time, so that the
    indexes which end in it give any filter's records newest first, from anywhere on.
    """

    request_id = models.UUIDField(primary_key=True)
    entry = models.ForeignKey("ledger.JournalEntry", on_delete=models.PROTECT, related_name="+")
    key_id = models.CharField(max_length=8)
    endpoint = models.CharField(max_length=40)
    ai_model = models.CharField(max_length=80)
    upstream_model = models.CharField(max_length=120)
    status = models.CharField(max_length=16, choices=Status.choices)
    truth = models.CharField(max_length=10, choices=Truth.choices)
    is_stream = models.BooleanField()

    input_tokens = models.PositiveBigIntegerField(default=0, help_text="cached ones not counted")
    cached_input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0, help_text="part of the output")
    quantities = models.JSONField(default=dict, help_text="other units: minutes, tiles, …")
    neurons = models.DecimalField(max_digits=24, decimal_places=12, null=True)

    estimated_nusd = models.BigIntegerField(help_text="what was held")
    cost_nusd = models.BigIntegerField()
    correction_nusd = models.BigIntegerField(
        default=0, db_default=0, help_text="of the cost: booked later, by an entry of its own"
    )
    provider_cost_nusd = models.BigIntegerField()
    first_figures = models.JSONField(null=True, help_text="as booked first, of a corrected call")
    price_version_id = models.BigIntegerField()

    started_at = models.DateTimeField()
    first_token_ms = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveIntegerField()
    attempts = models.PositiveSmallIntegerField(default=1)
    route = models.CharField(max_length=80, blank=True, help_text="asked for, if another name")
    upstream = models.CharField(max_length=40, blank=True, help_text="our name of the account")
    upstream_request_id = models.CharField(max_length=80, blank=True)
    gateway_log_id = models.CharField(max_length=64, blank=True, help_text="AI Gateway's")
    cache_status = models.CharField(max_length=8, blank=True, help_text="AI Gateway's cache")
    finish_reason = models.CharField(max_length=20, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-request_id",)
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["key_id", "request_id"], name="usage_by_key"),
            models.Index(fields=["ai_model", "request_id"], name="usage_by_model"),
            models.Index(
                fields=["status", "request_id"],
                condition=~models.Q(status="completed"),
                name="usage_not_completed",
            ),
            models.Index(
                fields=["request_id"],
                condition=models.Q(first_figures__isnull=False),
                name="usage_corrected",
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(cost_nusd__gte=0), name="usage_cost_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.request_id.hex} {self.ai_model}"


class UsageSums(models.Model):
    """Sums of usage records of one span, key and AI model."""

    key_id = models.CharField(max_length=8)
    ai_model = models.CharField(max_length=80)
    calls = models.PositiveBigIntegerField(default=0)
    failed_calls = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost_nusd = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class HourlyUsage(UsageSums):
    """Sums of usage records, by the hour a call started in, key and AI model."""

    hour = models.DateTimeField()
    provider_cost_nusd = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("-hour",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["hour", "key_id", "ai_model"], name="rollup_once_per_hour"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.ai_model}"


class DailyUsage(UsageSums):
    """HourlyUsage's sums by UTC day: a year of them is read at once where one of hours is not."""

    day = models.DateField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["day", "key_id", "ai_model"], name="rollup_once_per_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.ai_model}"


class UpstreamUsage(models.Model):
    """What calls cost us by UTC day, account, and the AI model's name there."""

    day = models.DateField()
    upstream = models.CharField(max_length=40, help_text="empty: nobody was called")
    upstream_model = models.CharField(max_length=120)
    calls = models.PositiveBigIntegerField(default=0)
    provider_cost_nusd = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["day", "upstream", "upstream_model"], name="upstream_once_per_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.upstream} {self.upstream_model}"


class UsageEnds(models.Model):
    """Calls that were not simply completed, by the hour, key, AI model and how they ended; and the
    same by UTC day (`is_day`), so that a year of them is read at once.

    Those that ran (`end` is a Status) are among HourlyUsage's too; refused ones (`end` is the
    code that was answered) are nowhere else: nothing was held, and nothing is charged.
    """

    is_day = models.BooleanField()
    start = models.DateTimeField()
    key_id = models.CharField(max_length=8)
    ai_model = models.CharField(max_length=80, blank=True, help_text="empty: refused")
    end = models.CharField(max_length=60)
    is_refused = models.BooleanField(default=False)
    calls = models.PositiveBigIntegerField(default=0)
    cost_nusd = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["is_day", "start", "key_id", "ai_model", "end", "is_refused"],
                name="ends_once_per_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H}h {self.end}"


class UsageArchive(models.Model):
    """A file that usage records were moved to: those of one month (UTC), or a part of it.

    Its sums are those of the records that have been deleted, and grow with every batch, so that
    records and archives together have what they always had, at any moment.
    """

    month = models.DateField(help_text="its first day")
    part = models.PositiveSmallIntegerField()
    before = models.DateTimeField(help_text="no call that started before is elsewhere")
    file = models.CharField(max_length=120, help_text="below ARCHIVE_DIR")
    sha256 = models.CharField(max_length=64)
    file_records = models.PositiveBigIntegerField()
    first_request_id = models.UUIDField()
    last_request_id = models.UUIDField()

    calls = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost_nusd = models.BigIntegerField(default=0)
    correction_nusd = models.BigIntegerField(default=0, db_default=0)
    provider_cost_nusd = models.BigIntegerField(default=0)
    last_entry_id = models.BigIntegerField(default=0, help_text="no later entry has a record here")
    split_entries = models.JSONField(
        default=dict, help_text="entry → nUSD archived here, of entries with other records left"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, help_text="when the last record was deleted")

    class Meta:
        ordering = ("month", "part")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["month", "part"], name="archive_once_per_part"),
        ]

    def __str__(self) -> str:
        return self.file


class KeySpend(models.Model):
    """What the keys of one line have spent in a period: what their budgets are compared with.

    line_id: the id of the first key of the line. period: a UTC day (20261125), a UTC month
    (202611), or "life". A call belongs to the day it started on.
    """

    line_id = models.CharField(max_length=8)
    period = models.CharField(max_length=8)
    cost_nusd = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["line_id", "period"], name="spend_once_per_period"),
        ]

    def __str__(self) -> str:
        return f"{self.line_id} {self.period}"


class SpendAlert(models.Model):
    """A key has spent a chosen part of a budget: told once for each period and percentage."""

    line_id = models.CharField(max_length=8)
    period = models.CharField(max_length=8, help_text="as in KeySpend")
    percent = models.PositiveSmallIntegerField()
    budget_nusd = models.BigIntegerField()
    spent_nusd = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    told_at = models.DateTimeField(null=True, help_text="when it was mailed")

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["line_id", "period", "percent"], name="alert_once_per_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.line_id} {self.period}: {self.percent} %"
