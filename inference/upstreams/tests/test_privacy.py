"""What clients must not read in an upstream's words."""

import pytest

from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.privacy import HIDDEN, without_secrets

ACCOUNT = Account(
    "main", WORKERS_AI, "https://api", account_id="acct-7", api_token="t0ken", gateway_id="gate-1"
)


@pytest.mark.parametrize(
    "secret",
    [
        "acct-7",
        "t0ken",
        "gate-1",
        "Bearer abc.def",
        "https://10.0.0.7:8080/v1/x?token=1",
        "7c9d0f1e-1234-4abc-9def-0123456789ab",
        "5f0c1ad9e47b4b2c9d10aa77be0faced",
        "10.23.4.56:8080",
        "localhost:9000",
        "vllm-7.prod.svc.cluster.local:8000",
        "edge-3.cloudflare.com",
        "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6",
        "/usr/lib/python3.11/site-packages/vllm/engine.py",
    ],
)
def test_names_of_accounts_requests_and_machines_are_hidden(secret: str) -> None:
    assert without_secrets(f"It failed at {secret}, try again", ACCOUNT) == (
        f"It failed at {HIDDEN}, try again"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Type mismatch of '/messages/0/content', 'array' not in 'string'",
        "This model's maximum context length is 131072 tokens. However, you asked for 200000.",
        "required properties at '/' are 'prompt'",
        "The model @cf/meta/llama-3.3-70b-instruct-fp8-fast takes no `top_k` above 50.",
    ],
)
def test_what_helps_the_client_stays(text: str) -> None:
    assert without_secrets(text, ACCOUNT) == text


def test_a_stack_trace_is_cut_off() -> None:
    text = "Bad input.\nTraceback (most recent call last):\n  File x, line 1"

    assert without_secrets(text, ACCOUNT) == "Bad input."
