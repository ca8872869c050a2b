"""Rolling tenants up, some at a time: a task has less than a minute."""

from contextlib import suppress

from celery import shared_task

from agentflare.redis_store import RedisDownError
from billing.business.backlog import take_sample
from billing.business.credit import tell_gates
from billing.business.rolling_up import codes_to_roll_up, forget_old, roll_up, roll_up_changed

# Looking whether anything has changed takes a fraction of a millisecond; rolling up some ten.
_AT_ONCE = 200
_ANEW_AT_ONCE = 50


@shared_task
def roll_up_task() -> int:
    """Every minute: what has changed. Returns how many tasks were made of it."""
    with suppress(*RedisDownError):
        tell_gates()
    with suppress(*RedisDownError):
        take_sample()
    parts = _parts(_AT_ONCE)
    for codes in parts:
        roll_up_changed_task.apply_async((codes,), expires=50)
    return len(parts)


@shared_task
def roll_up_changed_task(codes: list[str]) -> int:
    """Safe to run twice. Returns how many tenants had anything new."""
    return roll_up_changed(*codes)


@shared_task
def roll_up_anew_task() -> int:
    """Every night: what was booked or corrected late. Returns how many tasks were made of it."""
    forget_old()
    parts = _parts(_ANEW_AT_ONCE)
    for codes in parts:
        roll_up_some_task.delay(codes)
    return len(parts)


@shared_task
def roll_up_some_task(codes: list[str]) -> None:
    for code in codes:
        roll_up(code)


def _parts(size: int) -> list[list[str]]:
    codes = codes_to_roll_up()
    return [codes[at : at + size] for at in range(0, len(codes), size)]
