"""What every account was billed: neurons by hour and model, also of answers that told none.

Kept in a file, where one is given: who starts the sandbox again on the same day finds the same
books, as they are at Cloudflare.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

# As many bills can lag behind.
NEWEST_KEPT: Final = 50_000


@dataclass(frozen=True)
class Line:
    """Of one account: an hour of a model."""

    account: str
    hour: datetime
    model: str


@dataclass(frozen=True)
class Drift:
    """How the figures that are told differ from the books. neurons: added to one model's, today's.

    lag_s: bills younger than this are not told yet. fails: nothing is told.
    """

    percent: Decimal = Decimal(0)
    neurons: dict[str, Decimal] = field(default_factory=dict)
    lag_s: float = 0
    fails: bool = False


@dataclass
class Total:
    calls: int = 0
    neurons: Decimal = Decimal(0)


class Books:
    """Drift is by account; the one of "" is for all that have none of their own."""

    def __init__(self, file: Path | None = None) -> None:
        self._totals: dict[Line, Total] = {}
        self._newest: deque[tuple[float, Line, Decimal]] = deque(maxlen=NEWEST_KEPT)
        self._file = file
        self.drifts: dict[str, Drift] = {}
        if file is not None:
            self._read(file)
            self._log = file.open("a", buffering=1)

    def bill(self, *, account: str, model: str, neurons: Decimal, at: float) -> None:
        """at: Unix seconds, when the call started."""
        hour = datetime.fromtimestamp(at, UTC).replace(minute=0, second=0, microsecond=0)
        line = Line(account, hour, model)
        self._add(line, 1, neurons)
        self._newest.append((at, line, neurons))
        if self._file is not None:
            self._log.write(_written(line, Total(1, neurons)))

    def told(self, account: str, *, now: float) -> dict[Line, Total]:
        """What is told of an account at this moment."""
        drift = self.drift_of(account)
        told = {
            line: Total(total.calls, total.neurons)
            for line, total in self._totals.items()
            if line.account == account
        }
        if drift.lag_s:
            for at, line, neurons in self._newest:
                if line in told and at > now - drift.lag_s:
                    told[line].calls -= 1
                    told[line].neurons -= neurons
        for total in told.values():
            total.neurons *= 1 + drift.percent / 100
        hour = datetime.fromtimestamp(now, UTC).replace(minute=0, second=0, microsecond=0)
        for model, neurons in drift.neurons.items():
            told.setdefault(Line(account, hour, model), Total()).neurons += neurons
        return {line: total for line, total in told.items() if total.calls or total.neurons}

    def drift_of(self, account: str) -> Drift:
        return self.drifts.get(account) or self.drifts.get("") or Drift()

    def _add(self, line: Line, calls: int, neurons: Decimal) -> None:
        total = self._totals.setdefault(line, Total())
        total.calls += calls
        total.neurons += neurons

    def _read(self, file: Path) -> None:
        """Then written anew, each line once. What a killed process has half written is left out."""
        for text in file.read_text().splitlines() if file.exists() else []:
            try:
                row = json.loads(text)
                hour = datetime.fromisoformat(row["hour"])
                line = Line(row["account"], hour, row["model"])
                self._add(line, row["calls"], Decimal(row["neurons"]))
            except (KeyError, TypeError, ValueError):
                continue
        unfinished = file.with_name(file.name + ".unfinished")
        unfinished.write_text("".join(_written(*item) for item in self._totals.items()))
        unfinished.replace(file)


def _written(line: Line, total: Total) -> str:
    row = {
        "account": line.account,
        "hour": line.hour.isoformat(),
        "model": line.model,
        "calls": total.calls,
        "neurons": format(total.neurons, "f"),
    }
    return json.dumps(row) + "\n"
