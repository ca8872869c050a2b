from collections.abc import Iterator
from typing import Any

import openai
import pytest


@pytest.fixture
def client(gateway: Any, cast: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0) as client:
        yield client
