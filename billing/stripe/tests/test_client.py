import stripe

from billing.stripe import client as ours
from billing.stripe.inbox import TYPES


def test_the_version_is_the_packages_own() -> None:
    """Its types describe that one. Another is chosen with care, in both places."""
    assert stripe.api_version == ours.API_VERSION


def test_one_list_call_can_ask_for_all_types() -> None:
    assert len(TYPES) <= 20


def test_a_write_has_a_key_of_its_own() -> None:
    assert ours.once("top_up", 7, "session") == {"idempotency_key": "agentflare:top_up:7:session"}
