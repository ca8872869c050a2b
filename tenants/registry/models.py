"""Tenants, their plans and their domains: shared schema."""

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin

from tenants.limits import LimitedModel, Limits

if TYPE_CHECKING:
    from tenants.workspaces.models import Closure


class Plan(LimitedModel):
    """A tier: the limits of all tenants on it that have none of their own."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=60)
    is_default = models.BooleanField(
        default=False, help_text="for tenants that were given none; exactly one plan is it"
    )
    least_top_up_dollars = models.PositiveIntegerField(
        null=True, blank=True, help_text="The least that can be bought at once. Empty: the default."
    )
    most_top_up_dollars = models.PositiveIntegerField(
        null=True, blank=True, help_text="The most that can be bought at once. Empty: the default."
    )

    class Meta:
        ordering = ("slug",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["is_default"],
                condition=models.Q(is_default=True),
                name="plan_one_default",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Tenant(TenantMixin, LimitedModel):  # type: ignore[django-manager-missing]  # untyped mixin
    """A customer. What it owns lives in a schema of its own, named after its code."""

    # The schema is made by services.create_tenant, from the template.
    auto_create_schema = False
    auto_drop_schema = False

    code = models.CharField(
        max_length=6,
        unique=True,
        editable=False,
        help_text="In every API key and Redis key of this tenant. Never changes.",
    )
    slug = models.SlugField(max_length=40, unique=True, help_text="Its address: /t/<slug>/")
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    suspension_reason = models.CharField(
        max_length=200, blank=True, editable=False, help_text="The tenant reads this."
    )
    plan = models.ForeignKey(
        Plan,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        help_text="Its limits hold where the tenant has none of its own. Empty: the default plan.",
    )
    shrink_to_fit = models.BooleanField(
        default=False,
        help_text="Lower a call's output cap to what the credit pays for, instead of refusing it.",
    )
    cache_ttl_s = models.PositiveIntegerField(
        default=0,
        help_text="How old an answer from the cache may be, where a key does not say; 0: no cache.",
    )
    # A digest of its schema's migrations; empty: nobody has looked. Written with each change of it.
    schema_version = models.CharField(
        max_length=64, blank=True, default="", db_default="", editable=False
    )
    # Counts changes of standing and limits: Redis takes the newest state only.
    status_version = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ("slug",)
        permissions = (("visit_tenant", "Can look at a workspace as its people do"),)

    def __str__(self) -> str:
        return self.name

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None

    @property
    def granted_limits(self) -> Limits:
        """Those the operator gave it, and its plan's where there are none."""
        plan = self.plan or Plan.objects.filter(is_default=True).first()
        return self.own_limits.or_else(plan.own_limits) if plan else self.own_limits

    @property
    def limits(self) -> Limits:
        """Those that hold: the granted ones, or lower ones that its people have chosen."""
        chosen = getattr(self, "preferences", None)
        return self.granted_limits.at_most(chosen.own_limits) if chosen else self.granted_limits

    @property
    def closed(self) -> "Closure | None":
        """By its owner; such a tenant is served no more than a suspended one."""
        return getattr(self, "closure", None)


class Domain(DomainMixin):
    """A host name under which a tenant's dashboard is reached."""


class SchemaTemplate(models.Model):
    """The SQL that makes a new tenant's schema, taken from the migrations once per release.

    `fingerprint` digests the migrations it was taken from; it is used only while they
    are the code's own.
    """

    fingerprint = models.CharField(max_length=64, primary_key=True)
    sql = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.fingerprint[:12]


class Contraction(models.Model):
    """A migration that took something away: who does not know `needs` cannot do without it."""

    app = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    needs_app = models.CharField(max_length=255)
    needs_name = models.CharField(max_length=255)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["app", "name"], name="contraction_once"),
        ]

    def __str__(self) -> str:
        return f"{self.app}.{self.name}"
