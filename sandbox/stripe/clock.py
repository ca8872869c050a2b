"""What happens by itself as time passes: sessions expire, some payments are disputed."""

import asyncio
import logging
import time

from sandbox.stripe import checkout, disputes
from sandbox.stripe.api import Services
from sandbox.stripe.errors import StripeError

logger = logging.getLogger(__name__)

EVERY_S = 0.25


async def keep_time(services: Services) -> None:
    while True:
        try:
            tick(services, time.time())
        except StripeError:
            logger.exception("the clock could not do what was due")
        await asyncio.sleep(EVERY_S)


def tick(services: Services, now: float) -> None:
    """Everything that is due by now; in one commit."""
    unit = services.unit()
    for session in list(services.store.all("checkout.session").values()):
        if session["status"] == "open" and session["expires_at"] <= now:
            checkout.expire(unit, unit.get("checkout.session", session["id"]))
    for charge in list(services.store.all("charge").values()):
        if charge.get("_dispute_at", now + 1) <= now:
            ours = unit.get("charge", charge["id"])
            ours.pop("_dispute_at")
            # Refunded meanwhile: nothing is left to dispute.
            if ours["amount_refunded"] < ours["amount"] and not ours["disputed"]:
                disputes.open_(unit, ours, reason=ours["_dispute_reason"])
    if unit.changed():
        services.commit(unit)
