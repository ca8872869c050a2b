from typing import Any

import pytest

from billing.payments import watch
from billing.payments.tests.shop import Shop


@pytest.fixture
def shop(stripe_stand_in: Any) -> Shop:
    """A Stripe of this test's own, and a buyer."""
    watch.forget()
    return Shop(stripe_stand_in)
