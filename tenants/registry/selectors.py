"""Finding tenants."""

from tenants.registry.models import Tenant


class TenantNotFoundError(Exception):
    """No tenant has this slug or code."""


def tenant_by_slug(slug: str) -> Tenant:
    """Raises TenantNotFoundError."""
    tenant: Tenant | None = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        raise TenantNotFoundError(f"there is no tenant {slug}")
    return tenant


def tenant_by_code(code: str) -> Tenant:
    """Raises TenantNotFoundError."""
    tenant: Tenant | None = Tenant.objects.filter(code=code).first()
    if tenant is None:
        raise TenantNotFoundError(f"there is no tenant with the code {code}")
    return tenant
