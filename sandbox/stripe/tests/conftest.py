"""One stand-in for all tests of a module; one of its own with webhooks for those that need it."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from sandbox.stripe.tests.stand_in import Receiver, StandIn, receiving, running


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    with running() as it:
        yield it


@pytest.fixture
def client(stand_in: StandIn) -> stripe.StripeClient:
    return stand_in.client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as it:
        yield it


@pytest.fixture
def with_webhooks(receiver: Receiver) -> Iterator[StandIn]:
    with running(webhook_url=receiver.url) as it:
        yield it


@pytest.fixture
def customer(client: stripe.StripeClient) -> Any:
    return client.v1.customers.create({"email": "owner@acme.test", "name": "Acme"})
