"""Checkout Sessions by API: create, retrieve, list, line items, expire, update."""

from typing import Any

from sandbox.stripe import line_items, payment_intents, setup_intents
from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError, NotServedError
from sandbox.stripe.lists import list_object, page
from sandbox.stripe.metadata import merged
from sandbox.stripe.store import Object, Unit, new_id

KIND = "checkout.session"

SHORTEST_S = 30 * 60
LONGEST_S = 24 * 3600


def check(given: dict[str, Any]) -> None:
    """What Stripe's types can't say. Raises InvalidRequestError or NotServedError."""
    mode = given.get("mode")
    if mode is None:
        raise line_items.missing("mode")
    if mode == "subscription":
        raise NotServedError("subscriptions", param="mode")
    if given.get("ui_mode", "hosted_page") != "hosted_page":
        raise NotServedError("pages other than its own", param="ui_mode")
    if given.get("automatic_tax", {}).get("enabled"):
        raise NotServedError("automatic tax", param="automatic_tax")
    if given.get("allowed_payment_method_types", ["card"]) != ["card"]:
        raise NotServedError(
            "payment methods other than cards", param="allowed_payment_method_types"
        )
    if "success_url" not in given:
        raise line_items.missing("success_url")
    for name in ("success_url", "cancel_url"):
        if name in given and not given[name].startswith(("http://", "https://")):
            raise InvalidRequestError("Not a valid URL", code="url_invalid", param=name)
    if mode == "payment" and "line_items" not in given:
        raise line_items.missing("line_items")
    allowed = {
        "payment": {"setup_intent_data"},
        "setup": {"line_items", "payment_intent_data", "invoice_creation", "submit_type"},
    }[mode]
    for name in sorted(allowed & given.keys()):
        raise InvalidRequestError(f"You can not pass `{name}` in `{mode}` mode.", param=name)
    if mode == "setup" and not {"currency", "allowed_payment_method_types"} & given.keys():
        raise InvalidRequestError(
            "`currency` is required in `setup` mode when using dynamic payment methods.",
            code="parameter_missing",
            param="currency",
        )
    check_customer(given)


def check_customer(given: dict[str, Any]) -> None:
    has_customer = "customer" in given
    if has_customer and "customer_email" in given:
        raise InvalidRequestError(
            "You may only specify one of these parameters: customer, customer_email."
        )
    if has_customer and "customer_creation" in given:
        raise InvalidRequestError(
            "You may only specify one of these parameters: customer, customer_creation."
        )
    if "customer_update" in given and not has_customer:
        raise InvalidRequestError(
            "`customer_update` can only be used with `customer`.", param="customer_update"
        )
    wants_tax_id = given.get("tax_id_collection", {}).get("enabled")
    if wants_tax_id and has_customer and given.get("customer_update", {}).get("name") != "auto":
        raise InvalidRequestError(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`.",
            param="tax_id_collection",
        )


def create(call: Call) -> Object:
    """POST /v1/checkout/sessions"""
    unit, given = call.unit, call.params
    check(given)
    if customer_id := given.get("customer"):
        unit.get("customer", customer_id, param="customer")
    expires_at = given.get("expires_at", unit.now + LONGEST_S)
    if not unit.now + SHORTEST_S - 60 <= expires_at <= unit.now + LONGEST_S + 60:
        raise InvalidRequestError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
            "Session creation.",
            param="expires_at",
        )
    items = line_items.make(unit, given["line_items"]) if given["mode"] == "payment" else []
    session = make(unit, given, items, expires_at)
    session["url"] = f"{unit.url}/c/pay/{session['id']}"
    if session["mode"] == "setup":
        data = given.get("setup_intent_data", {})
        intent = setup_intents.make(
            unit,
            customer=session["customer"],
            description=data.get("description"),
            metadata=merged({}, data.get("metadata")),
        )
        intent["_session"] = session["id"]
        session["setup_intent"] = intent["id"]
    return session


def make(unit: Unit, given: dict[str, Any], items: list[Object], expires_at: int) -> Object:
    total = sum(item["amount_total"] for item in items)
    is_payment = given["mode"] == "payment"
    currency = items[0]["currency"] if items else given.get("currency")
    creation = given.get("customer_creation", "if_required" if is_payment else "always")
    made = {
        "id": new_id("cs_test"),
        "object": KIND,
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": total if is_payment else None,
        "amount_total": total if is_payment else None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": given.get("billing_address_collection"),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": unit.now,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
            **given.get("custom_text", {}),
        },
        "customer": given.get("customer"),
        "customer_creation": None if given.get("customer") else creation,
        "customer_details": None,
        "customer_email": given.get("customer_email"),
        "discounts": [] if is_payment else None,
        "expires_at": expires_at,
        "invoice": None,
        "invoice_creation": invoice_creation(given) if is_payment else None,
        "livemode": False,
        "locale": given.get("locale"),
        "metadata": merged({}, given.get("metadata")),
        "mode": given["mode"],
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required" if is_payment else "always",
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "unpaid" if is_payment else "no_payment_required",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": saved_options(given),
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        "tax_id_collection": {"enabled": False, "required": "never"}
        | given.get("tax_id_collection", {}),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
        if is_payment
        else None,
        "ui_mode": "hosted_page",
        "url": None,
        "wallet_options": None,
        "_line_items": items,
        "_customer_update": given.get("customer_update", {}),
        "_payment_intent_data": given.get("payment_intent_data", {}),
    }
    return unit.keep(made)


def invoice_creation(given: dict[str, Any]) -> Object:
    wanted = given.get("invoice_creation", {})
    data: Object = {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": None,
        "metadata": {},
        "rendering_options": None,
    }
    return {
        "enabled": wanted.get("enabled", False),
        "invoice_data": data | wanted.get("invoice_data", {}),
    }


def saved_options(given: dict[str, Any]) -> Object | None:
    """What of cards kept from before is offered, and whether this one may be kept."""
    wanted = given.get("saved_payment_method_options")
    if wanted is None and not given.get("customer"):
        return None
    default = {
        "allow_redisplay_filters": ["always"],
        "payment_method_remove": "disabled",
        "payment_method_save": None,
    }
    return default | (wanted or {})


def retrieve(call: Call) -> Object:
    """GET /v1/checkout/sessions/{id}"""
    return call.unit.get(KIND, call.id)


def update(call: Call) -> Object:
    """POST /v1/checkout/sessions/{id}"""
    session = call.unit.get(KIND, call.id)
    session["metadata"] = merged(session["metadata"], call.params.get("metadata"))
    return session


def list_(call: Call) -> Object:
    """GET /v1/checkout/sessions"""
    given = call.params
    return page(
        call,
        KIND,
        lambda one: all(
            given.get(name) in (None, one[name])
            for name in ("customer", "payment_intent", "status")
        ),
    )


def items_of(session: Object) -> list[Object]:
    return [
        {name: value for name, value in item.items() if not name.startswith("_")}
        for item in session["_line_items"]
    ]


def list_items(call: Call) -> Object:
    """GET /v1/checkout/sessions/{id}/line_items"""
    return list_object(call.path, items_of(call.unit.get(KIND, call.id)))


def expire_call(call: Call) -> Object:
    """POST /v1/checkout/sessions/{id}/expire"""
    session = call.unit.get(KIND, call.id)
    if session["status"] != "open":
        raise InvalidRequestError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`.",
        )
    expire(call.unit, session)
    return session


def expire(unit: Unit, session: Object) -> None:
    session.update(status="expired", url=None)
    if session["payment_intent"]:
        intent = unit.get("payment_intent", session["payment_intent"])
        payment_intents.end(unit, intent, "expired")
    if session["setup_intent"]:
        setup_intents.cancel(unit, unit.get("setup_intent", session["setup_intent"]))
    unit.emit("checkout.session.expired", session)
