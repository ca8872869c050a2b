"""What settled calls have shown of estimates: shared schema.

Only counts are kept, no text; a tenant's code stands beside them so that no tenant weighs too
much. See learning for what a score is.
"""

from typing import ClassVar

from django.db import models


class PromptEvidence(models.Model):
    """One tenant's scores in one cell during some hours."""

    ai_model = models.CharField(max_length=80)
    script = models.CharField(max_length=20)
    size = models.PositiveSmallIntegerField(help_text="of the prompt, as a class")
    basis = models.CharField(max_length=8, help_text="which start values scores are relative to")
    tenant_code = models.CharField(max_length=20)
    since = models.DateTimeField(help_text="start of the hours it is from")
    scores = models.JSONField(default=dict, help_text="bin → calls")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["ai_model", "script", "size", "basis", "since", "tenant_code"],
                name="prompt_evidence_once",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["since"], name="prompt_evidence_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.ai_model} {self.script} {self.size} of {self.tenant_code}"


class PromptCorrection(models.Model):
    """What a cell's evidence comes to: what web processes read."""

    ai_model = models.CharField(max_length=80)
    script = models.CharField(max_length=20)
    size = models.PositiveSmallIntegerField()
    basis = models.CharField(max_length=8)
    likely = models.FloatField(help_text="the score of half the calls")
    most = models.FloatField(help_text="the score that covers all but a few calls")
    may_lower = models.BooleanField(help_text="whether there is enough to lower bounds")
    calls = models.PositiveBigIntegerField()
    tenants = models.PositiveIntegerField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("ai_model", "script", "size")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["ai_model", "script", "size"], name="prompt_correction_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ai_model} {self.script} {self.size}"
