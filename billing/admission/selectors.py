"""Reading the gate."""

from billing.admission import gate
from billing.admission.gate import Gate
from billing.admission.services import warm_up
from tenants.registry.models import Tenant


def books(tenant: Tenant) -> Gate:
    """A tenant's books, rebuilt from the ledger where Redis does not have them.

    Raises RedisDownError.
    """
    known = gate.read(tenant.code)
    if known is None:
        warm_up(tenant.code)
        known = gate.read(tenant.code)
    assert known is not None
    return known
