"""What of a history is sent upstream: the last messages that the model's window has room for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentflare.errors import ContextLengthError
from agents.turns.history import ChatMessage, Group
from inference.attempts import Prepared
from inference.catalog.selectors import Offer

# Kept free for the answer, where the request asks for no less: tokens, and of the window.
_ANSWER_TOKENS = 1_024
_ANSWER_SHARE = 4
# What is taken at once of a prompt that was too long even to be counted well.
_SURE_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Cut:
    """max_messages: how many are sent at most. to_window: older ones are left out where they do
    not fit; else they are refused."""

    max_messages: int
    to_window: bool


def prepare_fitting(
    groups: Sequence[Group],
    offer: Offer,
    *,
    first_new: int,
    to_window: bool,
    prepare: Callable[[list[ChatMessage]], Prepared],
) -> Prepared:
    """Made ready with as many of the groups, from the end, as leave room for an answer.

    first_new: the group from which on none is left out. to_window: the others may be.

    Raises ContextLengthError where what may not be left out is too long by itself.
    """
    first = 0
    while True:
        try:
            prepared = prepare([message for group in groups[first:] for message in group.messages])
        except ContextLengthError as exc:
            if not to_window or first >= first_new:
                raise
            surplus = 1 - exc.context_window * _SURE_SHARE / exc.prompt_tokens
        else:
            surplus = _surplus(prepared, offer)
            if not to_window or surplus <= 0 or first >= first_new:
                return prepared
        first = _without(groups, first, surplus, first_new)


def first_of_last(groups: Sequence[Group], *, most: int, first_new: int) -> int:
    """Where the last so many messages begin, with a user's word where there is one."""
    count, first = 0, len(groups)
    while first:
        count += len(groups[first - 1].messages)
        if count > most and first - 1 < first_new:
            break
        first -= 1
    return _at_users_word(groups, first, first_new)


def _surplus(prepared: Prepared, offer: Offer) -> float:
    """The share of the prompt that an answer of some length needs the room of."""
    window = offer.context_window
    estimate: Any = prepared.work.estimate
    if window is None or not estimate.likely_prompt_tokens:
        return 0.0
    wanted = min(_ANSWER_TOKENS, window // _ANSWER_SHARE)
    missing = estimate.likely_prompt_tokens + wanted - window
    return missing / estimate.likely_prompt_tokens if missing > 0 else 0.0


def _without(groups: Sequence[Group], first: int, surplus: float, first_new: int) -> int:
    """Where it begins without so much of it, at least a group less."""
    sizes = [group.size + 1 for group in groups]
    left = surplus * sum(sizes[first:])
    while first < first_new:
        left -= sizes[first]
        first += 1
        if left <= 0:
            break
    return _at_users_word(groups, first, first_new)


def _at_users_word(groups: Sequence[Group], first: int, first_new: int) -> int:
    """Chat templates expect the user to begin."""
    start = first
    while first < first_new and not groups[first].is_users:
        first += 1
    is_there = first < len(groups) and groups[first].is_users
    return first if is_there else start
