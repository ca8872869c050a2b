from typing import Any

import pytest

from agents.tests.talker import Talker


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def talker(gateway: Any, cast: Any) -> Talker:
    return Talker(gateway.base_url, cast.key)
