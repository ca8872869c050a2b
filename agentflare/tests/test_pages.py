"""What all pages share."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

MAX_FORM_BYTES = settings.MAX_FORM_BYTES
pytestmark = pytest.mark.usefixtures("_database")
FORM = "application/x-www-form-urlencoded"


def test_a_form_that_is_too_large_is_not_read() -> None:
    body = "login=" + "x" * MAX_FORM_BYTES

    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", body, content_type=FORM)

    assert answer.status_code == 413
    assert b"too large for a form" in answer.content
    assert len(answer.content) < 5_000


def test_a_form_of_any_other_size_is() -> None:
    body = "login=" + "x" * (MAX_FORM_BYTES - 6)

    answer = Client().post("/accounts/login/", body, content_type=FORM)

    assert answer.status_code == 200


def test_calls_of_the_playground_are_no_forms(acme: Any) -> None:
    client = Client()
    client.force_login(acme.owner)
    path = f"/t/{acme.tenant.slug}/playground/v1/embeddings"

    answer = client.post(path, b" " * 2 * MAX_FORM_BYTES, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
