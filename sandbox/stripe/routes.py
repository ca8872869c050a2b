"""Which call is answered by what, and which parameters the stand-in serves in it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.stripe import (
    balance,
    charges,
    checkout,
    customers,
    disputes,
    events,
    invoice_calls,
    invoices,
    payment_intents,
    payment_methods,
    portal,
    refunds,
    setup_intents,
    tax_ids,
    webhook_endpoints,
)
from sandbox.stripe.call import Call
from sandbox.stripe.errors import NoRouteError
from sandbox.stripe.parameters import Parameters, parameters
from sandbox.stripe.store import Object

Answer = Callable[[Call], Object]


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    parameters: Parameters
    answer: Answer

    def ids(self, method: str, path: str) -> tuple[str, ...] | None:
        """The ids in the path; none when it is not ours."""
        pattern = re.sub(r"\{\w+\}", r"([^/]+)", self.path)
        found = re.fullmatch(pattern, path) if method == self.method else None
        return found.groups() if found else None


def route(line: str, model: str, answer: Answer, serves: str = "") -> Route:
    method, path = line.split()
    if method == "GET" and model.endswith("ListParams"):
        serves += " limit starting_after ending_before created"
    return Route(method, path, parameters(model, serves), answer)


CUSTOMER = (
    "address description email name phone preferred_locales tax_exempt metadata "
    "invoice_settings.default_payment_method invoice_settings.footer "
    "invoice_settings.custom_fields"
)

SESSION = (
    "mode customer customer_email customer_creation customer_update.name customer_update.address "
    "client_reference_id metadata success_url cancel_url expires_at currency ui_mode locale "
    "submit_type allowed_payment_method_types billing_address_collection tax_id_collection "
    "automatic_tax.enabled custom_text.submit saved_payment_method_options "
    "invoice_creation.enabled "
    "invoice_creation.invoice_data.description invoice_creation.invoice_data.footer "
    "invoice_creation.invoice_data.metadata invoice_creation.invoice_data.custom_fields "
    "line_items.quantity line_items.metadata line_items.price_data.currency "
    "line_items.price_data.unit_amount line_items.price_data.product_data.name "
    "line_items.price_data.product_data.description payment_intent_data.description "
    "payment_intent_data.metadata payment_intent_data.receipt_email "
    "payment_intent_data.setup_future_usage payment_intent_data.statement_descriptor "
    "payment_intent_data.statement_descriptor_suffix setup_intent_data.description "
    "setup_intent_data.metadata"
)

ENDPOINT = "url enabled_events description metadata"

PAYMENT = (
    "amount currency customer payment_method allowed_payment_method_types confirm off_session "
    "automatic_payment_methods return_url error_on_requires_action setup_future_usage description "
    "metadata receipt_email statement_descriptor statement_descriptor_suffix"
)

ROUTES = (
    route("GET /v1/balance", "BalanceRetrieveParams", balance.balance),
    route(
        "GET /v1/balance_transactions",
        "BalanceTransactionListParams",
        balance.list_,
        "type source currency",
    ),
    route(
        "GET /v1/balance_transactions/{id}", "BalanceTransactionRetrieveParams", balance.retrieve
    ),
    route("POST /v1/billing_portal/sessions", "billing_portal.SessionCreateParams", portal.create,
          "customer return_url"),
    route("GET /v1/charges", "ChargeListParams", charges.list_, "customer payment_intent"),
    route("GET /v1/charges/{id}", "ChargeRetrieveParams", charges.retrieve),
    route("POST /v1/charges/{id}", "ChargeUpdateParams", charges.update,
          "description receipt_email metadata"),
    route("POST /v1/checkout/sessions", "checkout.SessionCreateParams", checkout.create, SESSION),
    route("GET /v1/checkout/sessions", "checkout.SessionListParams", checkout.list_,
          "customer payment_intent status"),
    route("GET /v1/checkout/sessions/{id}", "checkout.SessionRetrieveParams", checkout.retrieve),
    route("POST /v1/checkout/sessions/{id}", "checkout.SessionUpdateParams", checkout.update,
          "metadata"),
    route("POST /v1/checkout/sessions/{id}/expire", "checkout.SessionExpireParams",
          checkout.expire_call),
    route("GET /v1/checkout/sessions/{id}/line_items", "checkout.SessionLineItemListParams",
          checkout.list_items),
    route("POST /v1/customers", "CustomerCreateParams", customers.create,
          f"{CUSTOMER} tax_id_data payment_method"),
    route("GET /v1/customers", "CustomerListParams", customers.list_, "email"),
    route("GET /v1/customers/{id}", "CustomerRetrieveParams", customers.retrieve),
    route("POST /v1/customers/{id}", "CustomerUpdateParams", customers.update, CUSTOMER),
    route("DELETE /v1/customers/{id}", "CustomerDeleteParams", customers.delete),
    route("GET /v1/customers/{id}/payment_methods", "CustomerPaymentMethodListParams",
          payment_methods.list_, "type allow_redisplay"),
    route("GET /v1/customers/{id}/tax_ids", "CustomerTaxIdListParams", tax_ids.list_),
    route("POST /v1/customers/{id}/tax_ids", "CustomerTaxIdCreateParams", tax_ids.create,
          "type value"),
    route("GET /v1/customers/{id}/tax_ids/{id}", "CustomerTaxIdRetrieveParams", tax_ids.retrieve),
    route("DELETE /v1/customers/{id}/tax_ids/{id}", "CustomerTaxIdDeleteParams", tax_ids.delete),
    route("GET /v1/disputes", "DisputeListParams", disputes.list_, "charge payment_intent"),
    route("GET /v1/disputes/{id}", "DisputeRetrieveParams", disputes.retrieve),
    route("POST /v1/disputes/{id}", "DisputeUpdateParams", disputes.update,
          "evidence submit metadata"),
    route("POST /v1/disputes/{id}/close", "DisputeCloseParams", disputes.close),
    route("GET /v1/events", "EventListParams", events.list_, "type types delivery_success"),
    route("GET /v1/events/{id}", "EventRetrieveParams", events.retrieve),
    route("GET /v1/invoice_payments", "InvoicePaymentListParams", invoices.list_payments,
          "invoice status payment"),
    route("GET /v1/invoices", "InvoiceListParams", invoices.list_, "customer status"),
    route("POST /v1/invoices", "InvoiceCreateParams", invoice_calls.create,
          "customer currency description footer metadata custom_fields auto_advance "
          "collection_method pending_invoice_items_behavior"),
    route("GET /v1/invoices/{id}", "InvoiceRetrieveParams", invoices.retrieve),
    route("POST /v1/invoices/{id}/add_lines", "InvoiceAddLinesParams", invoice_calls.add_lines,
          "lines.amount lines.description lines.metadata"),
    route("POST /v1/invoices/{id}/finalize", "InvoiceFinalizeInvoiceParams",
          invoice_calls.finalize, "auto_advance"),
    route("POST /v1/invoices/{id}/attach_payment", "InvoiceAttachPaymentParams",
          invoice_calls.attach_payment, "payment_intent"),
    route("POST /v1/payment_intents", "PaymentIntentCreateParams", payment_intents.create, PAYMENT),
    route("GET /v1/payment_intents", "PaymentIntentListParams", payment_intents.list_, "customer"),
    route("GET /v1/payment_intents/{id}", "PaymentIntentRetrieveParams", payment_intents.retrieve),
    route("POST /v1/payment_intents/{id}", "PaymentIntentUpdateParams", payment_intents.update,
          "amount description receipt_email setup_future_usage metadata payment_method"),
    route("POST /v1/payment_intents/{id}/confirm", "PaymentIntentConfirmParams",
          payment_intents.confirm, "payment_method off_session return_url error_on_requires_action "
          "receipt_email setup_future_usage"),
    route("POST /v1/payment_intents/{id}/cancel", "PaymentIntentCancelParams",
          payment_intents.cancel, "cancellation_reason"),
    route("GET /v1/payment_methods", "PaymentMethodListParams", payment_methods.list_,
          "customer type allow_redisplay"),
    route("GET /v1/payment_methods/{id}", "PaymentMethodRetrieveParams", payment_methods.retrieve),
    route("POST /v1/payment_methods/{id}", "PaymentMethodUpdateParams", payment_methods.update,
          "metadata allow_redisplay card.exp_month card.exp_year billing_details"),
    route("POST /v1/payment_methods/{id}/attach", "PaymentMethodAttachParams",
          payment_methods.attach_call, "customer"),
    route("POST /v1/payment_methods/{id}/detach", "PaymentMethodDetachParams",
          payment_methods.detach),
    route("POST /v1/refunds", "RefundCreateParams", refunds.create,
          "charge payment_intent amount reason metadata"),
    route("GET /v1/refunds", "RefundListParams", refunds.list_, "charge payment_intent"),
    route("GET /v1/refunds/{id}", "RefundRetrieveParams", refunds.retrieve),
    route("POST /v1/refunds/{id}", "RefundUpdateParams", refunds.update, "metadata"),
    route("GET /v1/setup_intents", "SetupIntentListParams", setup_intents.list_,
          "customer payment_method"),
    route("GET /v1/setup_intents/{id}", "SetupIntentRetrieveParams", setup_intents.retrieve),
    route("POST /v1/webhook_endpoints", "WebhookEndpointCreateParams", webhook_endpoints.create,
          f"{ENDPOINT} api_version"),
    route("GET /v1/webhook_endpoints", "WebhookEndpointListParams", webhook_endpoints.list_),
    route("GET /v1/webhook_endpoints/{id}", "WebhookEndpointRetrieveParams",
          webhook_endpoints.retrieve),
    route("POST /v1/webhook_endpoints/{id}", "WebhookEndpointUpdateParams",
          webhook_endpoints.update, f"{ENDPOINT} disabled"),
    route("DELETE /v1/webhook_endpoints/{id}", "WebhookEndpointDeleteParams",
          webhook_endpoints.delete),
)  # fmt: skip


def find_route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The route and the ids in the path. Raises NoRouteError."""
    for one in ROUTES:
        ids = one.ids(method, path)
        if ids is not None:
            return one, ids
    raise NoRouteError(method, path)
