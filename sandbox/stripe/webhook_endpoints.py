"""Webhook endpoints: addresses that get the events, each with its own secret."""

from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError, NotServedError
from sandbox.stripe.lists import page
from sandbox.stripe.metadata import merged, take
from sandbox.stripe.settings import API_VERSION
from sandbox.stripe.store import Object, Unit, new_id

KIND = "webhook_endpoint"

# The endpoint that the sandbox has from the start, always under the same id.
FIRST_ID = "we_sandbox"


def make(unit: Unit, url: str, secret: str, **fields: object) -> Object:
    return {
        "id": new_id("we"),
        "object": KIND,
        "api_version": API_VERSION,
        "application": None,
        "created": unit.now,
        "description": None,
        "enabled_events": ["*"],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
        "_secret": secret,
        **fields,
    }


def ensure_first(unit: Unit) -> None:
    """The endpoint of the options, with the address and secret of this start."""
    settings = unit.settings
    if not settings.webhook_url:
        return
    known = unit.find(KIND, FIRST_ID)
    if known is None:
        made = make(unit, settings.webhook_url, settings.webhook_secret, id=FIRST_ID)
        unit.keep(made)
    else:
        known.update(url=settings.webhook_url, _secret=settings.webhook_secret)


def wants(endpoint: Object, type_: str) -> bool:
    """Not if it is disabled or deleted."""
    wanted = endpoint.get("enabled_events", [])
    return endpoint.get("status") == "enabled" and ("*" in wanted or type_ in wanted)


def check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise InvalidRequestError(
            "Invalid URL: An explicit scheme (such as https) must be provided.",
            code="url_invalid",
            param="url",
        )


def create(call: Call) -> Object:
    """POST /v1/webhook_endpoints: the only answer that has the secret"""
    given = call.params
    check_url(given["url"])
    if given.get("api_version", API_VERSION) != API_VERSION:
        raise NotServedError(f"API versions other than {API_VERSION}", param="api_version")
    secret = f"whsec_{new_id('s')[2:]}"
    made = call.unit.keep(
        make(
            call.unit,
            given["url"],
            secret,
            description=given.get("description") or None,
            enabled_events=given["enabled_events"],
            metadata=merged({}, given.get("metadata")),
        )
    )
    return {**made, "secret": secret}


def update(call: Call) -> Object:
    """POST /v1/webhook_endpoints/{id}"""
    endpoint, given = call.unit.get(KIND, call.id), call.params
    if "url" in given:
        check_url(given["url"])
    take(endpoint, given, "description", "url", "enabled_events")
    if "disabled" in given:
        endpoint["status"] = "disabled" if given["disabled"] else "enabled"
    endpoint["metadata"] = merged(endpoint["metadata"], given.get("metadata"))
    return endpoint


def retrieve(call: Call) -> Object:
    """GET /v1/webhook_endpoints/{id}"""
    return call.unit.get(KIND, call.id)


def list_(call: Call) -> Object:
    """GET /v1/webhook_endpoints"""
    return page(call, KIND, lambda one: not one.get("deleted"))


def delete(call: Call) -> Object:
    """DELETE /v1/webhook_endpoints/{id}"""
    call.unit.get(KIND, call.id)
    return call.unit.keep({"id": call.id, "object": KIND, "deleted": True})
