from django.urls import path

from billing.payments import pages, settings_pages, statement_pages, webhook

_AT = "t/<slug:slug>/billing"

urlpatterns = [
    path("webhooks/stripe", webhook.stripe_webhook, name="stripe_webhook"),
    path(f"{_AT}/", pages.billing, name="billing"),
    path(f"{_AT}/quote/", pages.quote_part, name="billing_quote"),
    path(f"{_AT}/top-up/", pages.top_up, name="billing_top_up"),
    path(f"{_AT}/payments/", pages.payments, name="billing_payments"),
    path(f"{_AT}/payments/<uuid:top_up_id>/", pages.payment, name="billing_payment"),
    path(f"{_AT}/payments/<uuid:top_up_id>/pay/", pages.pay, name="billing_pay"),
    path(f"{_AT}/payments/<uuid:top_up_id>/cancel/", pages.cancel, name="billing_cancel"),
    path(f"{_AT}/payments/<uuid:top_up_id>/state/", pages.payment_state, name="billing_state"),
    path(f"{_AT}/payments/<uuid:top_up_id>/refund/", pages.refund, name="billing_refund"),
    path(f"{_AT}/statement/", statement_pages.statement_page, name="billing_statement"),
    path(f"{_AT}/statement.csv", statement_pages.statement_file, name="billing_statement_file"),
    path(f"{_AT}/details/", settings_pages.details, name="billing_details"),
    path(f"{_AT}/auto-recharge/", settings_pages.auto_recharge, name="billing_auto"),
    path(f"{_AT}/alert/", settings_pages.alert, name="billing_alert"),
    path(f"{_AT}/card/", settings_pages.card, name="billing_card"),
    path(f"{_AT}/card/saved/", settings_pages.card_saved, name="billing_card_saved"),
    path(f"{_AT}/card/remove/", settings_pages.card_removed, name="billing_card_remove"),
]
