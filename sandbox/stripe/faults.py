"""Faults on order: the next calls that match fail, before or after they took effect."""

import asyncio
from dataclasses import asdict, dataclass, fields
from typing import Any

KINDS = ("error", "rate_limit", "time_out", "drop", "slow")
WHEN = ("before", "after")


class BadOrderError(Exception):
    """A control call that the stand-in does not understand: a mistake in a test."""


@dataclass
class Fault:
    """kind: error (500), rate_limit (429), time_out (silence, then the connection is closed),
        drop (the connection is closed at once), slow (answered after `seconds`; before then
        its idempotency key is in use).
    when: before or after the call took effect. rate_limit and slow are always before.
    count: how many calls; none: all, until the faults are cleared.
    method, path: which calls; a path stands for all that begin with it.
    """

    kind: str
    when: str = "before"
    count: int | None = 1
    method: str = ""
    path: str = "/v1/"
    status: int = 500
    seconds: float = 30.0

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("", method) and path.startswith(self.path)


def read_fault(order: Any) -> Fault:
    """Raises BadOrderError."""
    names = {one.name for one in fields(Fault)}
    if not isinstance(order, dict) or "kind" not in order or order.keys() - names:
        raise BadOrderError(f"a fault has kind, and of these: {', '.join(sorted(names))}")
    fault = Fault(**order)
    if fault.kind not in KINDS or fault.when not in WHEN:
        raise BadOrderError(f"kind is one of {', '.join(KINDS)}; when: {', '.join(WHEN)}")
    if fault.kind in ("rate_limit", "slow"):
        fault.when = "before"
    return fault


class Faults:
    def __init__(self) -> None:
        self.orders: list[Fault] = []

    def take(self, method: str, path: str) -> Fault | None:
        """The first order that this call matches; it is used up by one."""
        for fault in self.orders:
            if fault.matches(method, path):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count <= 0:
                        self.orders.remove(fault)
                return fault
        return None

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.orders]


class ConnectionCutError(Exception):
    """No answer: the connection is to be closed."""


async def cut(fault: Fault) -> None:
    """Raises ConnectionCutError, after a while of silence if that was ordered."""
    if fault.kind == "time_out":
        await asyncio.sleep(fault.seconds)
    raise ConnectionCutError
