"""Tenants and their domains: shared schema."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Tenant(TenantMixin):
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
    # Counts suspensions and resumptions: the gate takes the newest state only.
    status_version = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None


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
