import threading
from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.tests.stand_in import SECRET_KEY, StandIn, client_of, wait_until

HEADERS = {"Authorization": f"Bearer {SECRET_KEY}"}


def make(client: stripe.StripeClient, key: str, name: str = "Acme") -> Any:
    return client.v1.customers.create({"name": name}, {"idempotency_key": key})


def count(client: stripe.StripeClient) -> int:
    return len(client.v1.customers.list({"limit": 100}).data)


# --- Idempotency ----------------------------------------------------------------------


def test_the_same_call_again_gets_the_same_answer(client: stripe.StripeClient) -> None:
    before = count(client)
    first, second = make(client, "same"), make(client, "same")

    assert first.id == second.id
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert first.last_response.request_id != second.last_response.request_id
    assert count(client) == before + 1


def test_a_key_is_for_one_call_alone(client: stripe.StripeClient) -> None:
    make(client, "one")

    with pytest.raises(stripe.IdempotencyError) as refusal:
        make(client, "one", name="Other")
    assert refusal.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        client.v1.payment_intents.create(
            {"amount": 100, "currency": "usd"}, {"idempotency_key": "one"}
        )


def test_a_declined_payment_is_repeated_as_declined(client: stripe.StripeClient) -> None:
    errors = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refusal:
            client.v1.payment_intents.create(
                {"amount": 100, "currency": "usd", "confirm": True,
                 "payment_method": "pm_card_chargeDeclined"},
                {"idempotency_key": "declined"},
            )  # fmt: skip
        errors.append(refusal.value)

    first, second = (error.error.payment_intent["id"] for error in errors)
    assert first == second
    assert errors[1].headers["Idempotent-Replayed"] == "true"


def test_wrong_parameters_leave_the_key_free(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create({"nmae": "x"}, {"idempotency_key": "free"})  # type: ignore

    assert make(client, "free").name == "Acme"


def test_a_key_in_use_is_refused(stand_in: StandIn, client: stripe.StripeClient) -> None:
    stand_in.control("POST", "faults", kind="slow", seconds=1.5)
    thread = threading.Thread(target=make, args=(client, "slow"))
    thread.start()
    wait_until(lambda: stand_in.control("GET", "faults")["faults"] == [])

    with pytest.raises(stripe.APIError) as refusal:
        make(client, "slow")

    assert refusal.value.http_status == 409
    thread.join()
    # The package's own retries wait for the other call and get its answer.
    assert make(client_of(stand_in.url, max_network_retries=2), "slow").name == "Acme"


# --- Keys, routes, versions -----------------------------------------------------------


def test_a_wrong_key_is_refused(stand_in: StandIn) -> None:
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
        client_of(stand_in.url, "sk_test_wrong").v1.customers.list()
    assert requests.get(f"{stand_in.url}/v1/customers", timeout=5).status_code == 401
    basic = requests.get(f"{stand_in.url}/v1/customers", auth=(SECRET_KEY, ""), timeout=5)
    assert basic.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/customers", 404),
        ("GET", "/v1/customers/cus_none", 404),
        ("GET", "/v1/payment_intents?customers=x", 400),
        ("GET", "/v1/customers?expand[]=data.email", 400),
        ("GET", "/v1/customers?limit[a]=3", 400),
    ],
)
def test_refusals_have_stripes_envelope(
    stand_in: StandIn, client: stripe.StripeClient, method: str, path: str, status: int
) -> None:
    client.v1.customers.create({"email": "x@acme.test"})

    answer = requests.request(method, f"{stand_in.url}{path}", headers=HEADERS, timeout=5)

    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["Request-Id"].startswith("req_")


def test_another_api_version_is_refused(stand_in: StandIn) -> None:
    headers = {**HEADERS, "Stripe-Version": "2020-08-27"}
    answer = requests.get(f"{stand_in.url}/v1/customers", headers=headers, timeout=5)

    assert answer.status_code == 400
    assert "API versions other than" in answer.json()["error"]["message"]


# --- Faults ---------------------------------------------------------------------------


def test_the_next_calls_fail_and_then_no_more(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    before = count(client)
    stand_in.control("POST", "faults", kind="error", count=2, method="POST", path="/v1/customers")
    for key in ("fails", "fails"):
        with pytest.raises(stripe.APIError) as refusal:
            make(client, key)
        assert refusal.value.http_status == 500

    assert count(client) == before
    assert make(client, "fails").name == "Acme"


def test_an_error_after_the_effect_is_repeated_by_its_key(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    """As the real one: the key does not tell what was done; a look at the objects does."""
    before = count(client)
    stand_in.control("POST", "faults", kind="error", when="after", method="POST")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            make(client, "done anyway")

    assert count(client) == before + 1


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_cut_connection_is_healed_by_the_key(
    stand_in: StandIn, client: stripe.StripeClient, when: str, made: int
) -> None:
    before = count(client)
    key = f"cut {when}"
    stand_in.control("POST", "faults", kind="drop", when=when, method="POST")

    with pytest.raises(stripe.APIConnectionError):
        make(client, key)

    assert count(client) == before + made
    again = make(client, key)
    assert count(client) == before + 1
    assert ("Idempotent-Replayed" in again.last_response.headers) is bool(made)


def test_a_time_out_after_the_effect(stand_in: StandIn, client: stripe.StripeClient) -> None:
    stand_in.control("POST", "faults", kind="time_out", when="after", seconds=30, method="POST")
    url = f"{stand_in.url}/v1/customers"
    headers = {**HEADERS, "Idempotency-Key": "silence"}

    with pytest.raises(requests.ReadTimeout):
        requests.post(url, data={"name": "Acme"}, headers=headers, timeout=0.3)

    assert make(client, "silence").last_response.headers["Idempotent-Replayed"] == "true"


def test_rate_limits_and_an_outage_that_ends(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    stand_in.control("POST", "faults", kind="rate_limit")
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()

    stand_in.control("POST", "faults", kind="error", status=503, count=None)
    for _ in range(3):
        with pytest.raises(stripe.APIError) as refusal:
            client.v1.customers.list()
        assert refusal.value.http_status == 503
    stand_in.control("DELETE", "faults")
    client.v1.customers.list()


def test_the_packages_own_retries_get_through(stand_in: StandIn) -> None:
    client = client_of(stand_in.url, max_network_retries=2)
    before = count(client)
    stand_in.control("POST", "faults", kind="drop", when="after", method="POST")

    client.v1.customers.create({"name": "retried"})

    assert count(client) == before + 1


def test_calls_are_listed(stand_in: StandIn, client: stripe.StripeClient) -> None:
    stand_in.control("DELETE", "calls")
    make(client, "listed")
    make(client, "listed")

    calls = stand_in.control("GET", "calls")["calls"]

    assert [(one["status"], one["replayed"]) for one in calls] == [(200, False), (200, True)]
    assert {one["idempotency_key"] for one in calls} == {"listed"}


@pytest.mark.parametrize("order", [{}, {"kind": "x"}, {"kind": "drop", "colour": 1}])
def test_faults_that_make_no_sense_are_refused(stand_in: StandIn, order: Any) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        stand_in.control("POST", "faults", **order)
