from django.urls import path

from billing.payments import webhook

urlpatterns = [
    path("webhooks/stripe", webhook.stripe_webhook, name="stripe_webhook"),
]
