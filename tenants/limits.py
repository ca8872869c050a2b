"""How much may happen in a minute, at once, and for how much money. Values, no store is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models

# The gate counts in doubles: whole up to here.
MOST = 2**53


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. 0: nothing is let through."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_calls: int | None = None

    @classmethod
    def of(cls, values: Sequence[int | None]) -> "Limits":
        """Back from `as_list`."""
        return cls(*values)

    def as_list(self) -> list[int | None]:
        return [self.requests_per_minute, self.tokens_per_minute, self.concurrent_calls]

    def or_else(self, other: "Limits") -> "Limits":
        """These, and the other's where there is none."""
        pairs = zip(self.as_list(), other.as_list(), strict=True)
        return Limits(*(other if own is None else own for own, other in pairs))

    def at_most(self, other: "Limits") -> "Limits":
        """Of each two the lower one."""
        pairs = zip(self.as_list(), other.as_list(), strict=True)
        return Limits(*(min((x for x in pair if x is not None), default=None) for pair in pairs))

    @property
    def has_windows(self) -> bool:
        """Whether anything is limited by the minute."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    def __bool__(self) -> bool:
        return any(limit is not None for limit in self.as_list())


@dataclass(frozen=True, slots=True)
class Budgets:
    """What an API key may spend in a UTC day, in a UTC month and in its life, in nUSD.

    None: no budget.
    """

    day_nusd: int | None = None
    month_nusd: int | None = None
    life_nusd: int | None = None

    @classmethod
    def of(cls, values: Sequence[int | None]) -> "Budgets":
        """Back from `as_list`."""
        return cls(*values)

    def as_list(self) -> list[int | None]:
        return [self.day_nusd, self.month_nusd, self.life_nusd]

    def by_period(self) -> dict[str, int | None]:
        return {"day": self.day_nusd, "month": self.month_nusd, "life": self.life_nusd}

    def __bool__(self) -> bool:
        return any(budget is not None for budget in self.as_list())


NO_LIMITS = Limits()
NO_BUDGETS = Budgets()


def _limit_field(help_text: str) -> Any:
    return models.BigIntegerField(
        null=True, blank=True, validators=[MinValueValidator(0)], help_text=help_text
    )


class LimitedModel(models.Model):
    """A row that carries limits; an empty field is no limit of its own."""

    requests_per_minute = _limit_field("in any 60 seconds")
    tokens_per_minute = _limit_field("prompt and answer together, in any 60 seconds")
    concurrent_calls = _limit_field("running at the same time")

    class Meta:
        abstract = True

    @property
    def own_limits(self) -> Limits:
        return Limits(self.requests_per_minute, self.tokens_per_minute, self.concurrent_calls)
