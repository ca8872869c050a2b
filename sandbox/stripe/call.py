"""One API call, as the functions that answer it see it."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.stripe.store import Unit


@dataclass
class Call:
    """ids: those in the path."""

    unit: Unit
    params: dict[str, Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    path: str = ""

    @property
    def id(self) -> str:
        return self.ids[0]
