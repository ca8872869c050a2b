"""A gate that Redis does not have, made from PostgreSQL."""

from billing.ledger.services import sync_gate
from tenants.registry import status
from tenants.registry.selectors import tenant_by_code


def warm_up(tenant_code: str) -> None:
    """Rebuild a tenant's standing and gate from PostgreSQL. Safe at any time."""
    status.publish(tenant_by_code(tenant_code))
    sync_gate(tenant_code)
