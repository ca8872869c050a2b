"""Names of the environment variables by which the product learns of Stripe, real or not."""

SECRET_KEY = "STRIPE_SECRET_KEY"
WEBHOOK_SECRET = "STRIPE_WEBHOOK_SECRET"
API_BASE = "STRIPE_API_BASE"

ALL = (SECRET_KEY, WEBHOOK_SECRET, API_BASE)

# Where the product takes webhooks, below its own address.
WEBHOOK_PATH = "/webhooks/stripe"
