"""Shrink to fit: the longest answer that the money pays for, instead of none."""

from bisect import bisect_right

from billing.prices.models import Unit
from inference.attempts import Prepared

# In tokens: what is less is no answer to anybody.
SHORTEST_ANSWER = 16


def fitting_cap(prepared: Prepared, *, most_nusd: int) -> int | None:
    """The highest output cap with which the call costs no more than `most_nusd`.

    None where that would be less than a few words, or where the kind of call has no cap.
    """
    if not prepared.output_cap:
        return None
    answers = int(prepared.most[Unit.OUTPUT_TOKENS]) // prepared.output_cap

    def cost_nusd(cap: int) -> int:
        return prepared.offer.price.charge_nusd(
            {**prepared.most, Unit.OUTPUT_TOKENS: cap * answers}
        )

    cap = bisect_right(range(prepared.output_cap + 1), most_nusd, key=cost_nusd) - 1
    return cap if cap >= SHORTEST_ANSWER else None
