"""What this process does not serve, because its code and the database are of different releases.

`tenants.registry.versions` finds out; whoever lets calls and people in asks here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentflare.errors import ServiceUnavailableError

_RETRY_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Reasons, for operators. everything: why nothing is served; tenants: code → why not."""

    everything: str = ""
    tenants: Mapping[str, str] = field(default_factory=dict)


_refused = Refused()


def note(refused: Refused) -> None:
    global _refused
    _refused = refused


def refused() -> Refused:
    return _refused


def why_not(tenant_code: str = "") -> str:
    """Empty: it is served."""
    return _refused.everything or _refused.tenants.get(tenant_code, "")


def require(tenant_code: str) -> None:
    """Raises ServiceUnavailableError."""
    if why_not(tenant_code):
        raise unavailable()


def unavailable() -> ServiceUnavailableError:
    """What the caller reads; the reason is the operator's."""
    return ServiceUnavailableError(
        "An upgrade is under way here. Retry shortly.", retry_after_s=_RETRY_AFTER_S
    )
