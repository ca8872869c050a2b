"""Settings, all from the environment. docs/deploy.md lists the variables."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from agentflare import env, logs
from agentflare.redis_cluster import is_cluster

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Who we are -----------------------------------------------------------------

SECRET_KEY = env.text("SECRET_KEY")
# Those that it replaced: what they signed and encrypted is still read (manage.py renew_secrets).
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS", [])
DEBUG = env.flag("DEBUG")
# The address people and programs use, without a slash at its end.
AGENTFLARE_URL = env.text("AGENTFLARE_URL", "http://localhost:8000").rstrip("/")
# On one machine with stand-ins for Cloudflare and Stripe: every page says so.
SANDBOX = env.flag("AGENTFLARE_SANDBOX")
# Proxies in front that each add an entry to X-Forwarded-For: decides whose address is believed.
TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 0)
# Probes ask by the last two.
ALLOWED_HOSTS = [*env.words("ALLOWED_HOSTS", ["*"] if SANDBOX else []), "localhost", "127.0.0.1"]
CSRF_TRUSTED_ORIGINS = [AGENTFLARE_URL]

# --- Stores ---------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "tenants.postgresql",
        **env.postgres("DATABASE_URL"),
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
# Every greenlet would open a connection of its own otherwise.
DATABASE_POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 10)
DATABASES["default"]["OPTIONS"]["pool"] = {
    "min_size": 1,
    "max_size": DATABASE_POOL_SIZE,
    # Then the server itself is asked whether it is there: see tenants/postgresql.
    "timeout": 2,
}
DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", 5)
# One whose machine is gone says nothing: its connections would keep their places in the pool.
for _name, _value in (
    ("keepalives_idle", 10),
    ("keepalives_interval", 5),
    ("keepalives_count", 3),
    ("tcp_user_timeout", 25_000),
):
    DATABASES["default"]["OPTIONS"].setdefault(_name, _value)
# How long a connection of the pool is waited for while PostgreSQL is there, and busy.
DATABASE_POOL_TIMEOUT_S = 6
# How long a call waits for PostgreSQL, where it could go another way.
DATABASE_PATIENCE_S = 5
# Where pg_dump and pg_restore are, for backups; empty: on PATH.
POSTGRESQL_BIN = env.text("POSTGRESQL_BIN", " ").strip()

# Where heavy reads of settled usage go, while it keeps up; empty: to the primary.
DATABASE_REPLICA_URL = env.postgres_url("DATABASE_REPLICA_URL")

# Gate, holds, outbox, cache of API keys: one Redis, or a Redis Cluster.
REDIS_URL = env.redis("REDIS_URL")
# How long a command may take; it is not sent again after that (agentflare/redis_store.py).
REDIS_TIMEOUT_S = 1.0
# How long it may take to find out whether a Redis that was down is back.
REDIS_PROBE_TIMEOUT_S = 0.5
REDIS_POOL_TIMEOUT_S = 10.0
REDIS_MAX_CONNECTIONS = env.integer("REDIS_MAX_CONNECTIONS", 64)

# --- Apps -----------------------------------------------------------------------

# Tables in the shared schema: what the operator owns.
SHARED_APPS = [
    "tenants.registry",  # before django_tenants: its create_tenant command is ours
    "unfold",  # before django_tenants and django.contrib.admin, whose templates it replaces
    "django_tenants",
    "tenants.users",
    "tenants.operators",
    "tenants.announcements",
    "tenants.members",
    "tenants.workspaces",
    "billing.prices",
    "billing.admission",
    "billing.exports",
    "billing.reconciliation",
    "billing.onboarding",
    "billing.stripe",
    "billing.business",
    "inference.upstreams",
    "inference.catalog",
    "inference.tokens",
    "inference.images",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_htmx",
    "heroicons",
]
# Tables in each tenant's schema: what that tenant owns. Each is multiplied by every tenant.
TENANT_APPS = [
    "tenants.keys",
    "tenants.audit",
    "tenants.webhooks",
    "billing.ledger",
    "billing.usage",
    "billing.payments",
    "agents.definitions",
    "agents.conversations",
    "agents.turns",
]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS

TENANT_MODEL = "registry.Tenant"
TENANT_DOMAIN_MODEL = "registry.Domain"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
# `SET search_path` once per checked-out connection and schema, not once per cursor.
TENANT_LIMIT_SET_CALLS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Web ------------------------------------------------------------------------

# What the API's reference says of apps that `inference` does not know.
API_REFERENCE = [
    "agents.reference.responses",
    "agents.reference.agents",
    "agents.conversations.reference",
]
# What a workspace's export has of apps that `billing` does not know.
EXPORT_PARTS = ["agents.export.parts"]
# Who renews the secrets that are kept encrypted: in the shared schema, and in each tenant's.
SHARED_SECRETS = [
    "tenants.users.factors.renew_secrets",
    "inference.upstreams.secrets.renew_secrets",
]
TENANT_SECRETS = [
    "tenants.webhooks.endpoints.renew_secrets",
    "agents.definitions.services.renew_secrets",
]
ROOT_URLCONF = "agentflare.urls"
WSGI_APPLICATION = "agentflare.wsgi.application"
WEBSOCKETS = "agents.sockets.entrance.serve"
# All of /v1: no session, no cookie, no form. agentflare/wsgi.py makes a handler of its own
# of these; ten middlewares less are a tenth of the gateway's own time.
API_MIDDLEWARE = [
    "agentflare.middleware.RequestIdMiddleware",
    "agentflare.cors.CorsMiddleware",
    "agentflare.middleware.ApiErrorMiddleware",
    "agentflare.middleware.PublicSchemaMiddleware",
    "agentflare.middleware.ReleaseMiddleware",
    "tenants.announcements.middleware.MaintenanceMiddleware",
]
MIDDLEWARE = [
    *API_MIDDLEWARE,
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "agentflare.pages.ContentSecurityPolicyMiddleware",
    "agentflare.pages.FormSizeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "tenants.users.middleware.SessionActivityMiddleware",
    "tenants.users.middleware.OperatorSecondFactorMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "agentflare.pages.PageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "agentflare.pages.site",
                "tenants.announcements.pages.banners",
            ],
            "builtins": ["billing.templatetags.money", "heroicons.templatetags.heroicons"],
            "libraries": {
                "agents": "agents.dashboard.templatetags.agents",
                "calls": "billing.templatetags.calls",
                "figures": "billing.templatetags.figures",
                "account_pages": "tenants.users.browsers",
            },
        },
    }
]
# A body over this gets 413. Images and audio travel inside JSON as base64.
# 26 MiB: a file of 25 MiB, as OpenAI takes, and the form around it.
DATA_UPLOAD_MAX_MEMORY_SIZE = env.integer("MAX_BODY_BYTES", 26 * 1024 * 1024)
# The body is in memory already: its files need no place on disk.
FILE_UPLOAD_MAX_MEMORY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE
# A page's form is no longer than this.
MAX_FORM_BYTES = 1024 * 1024
# How long 64 KiB of a body, or what is left of it, may take to arrive.
BODY_TIMEOUT_S = env.integer("WEB_BODY_TIMEOUT_S", 30)

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files are served from where we and the packages keep them: no `collectstatic`, no STATIC_ROOT.
WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["agentflare.formats"]

# --- People ---------------------------------------------------------------------

AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"email"}
# Whether people may make accounts, and workspaces, themselves.
SIGNUP_OPEN = env.flag("SIGNUP_OPEN", default=SANDBOX)
# How many workspaces one person may have made, and own.
WORKSPACES_PER_PERSON = env.integer("WORKSPACES_PER_PERSON", 3)
# What a person's first workspace is given; once per person.
TRIAL_CREDIT_NUSD = env.nusd("TRIAL_CREDIT_DOLLARS", "1" if SANDBOX else "0")
# The plan that workspaces begin on which people make themselves; where it is missing, the default.
# In the sandbox the operator's password stands on the screen.
OPERATORS_NEED_SECOND_FACTOR = env.flag("OPERATORS_NEED_SECOND_FACTOR", default=not SANDBOX)
# What an operator may give or take alone; more needs a second one.
CREDIT_ALONE_NUSD = env.nusd("CREDIT_ALONE_DOLLARS", "100")
# Whether suspending a tenant ends its streams that run, too; else they go on to their end.
SUSPENSION_ENDS_STREAMS = env.flag("SUSPENSION_ENDS_STREAMS", default=True)
TRIAL_PLAN = env.text("TRIAL_PLAN", "trial")
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = 3
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
# How long the link works that sets a new password; the mail says so.
PASSWORD_RESET_TIMEOUT = 3600
# One address each: another one takes its place once it is verified.
ACCOUNT_CHANGE_EMAIL = True
# People are told when somebody changes how they sign in.
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_ADAPTER = "tenants.users.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "tenants.users.forms.SignInForm",
    "change_password": "tenants.users.forms.OwnPasswordForm",
    "signup": "tenants.users.account_forms.SignUpForm",
    "add_email": "tenants.users.account_forms.NewAddressForm",
    "set_password": "tenants.users.account_forms.FirstPasswordForm",
    "reset_password": "tenants.users.account_forms.LostPasswordForm",
    "reset_password_from_key": "tenants.users.account_forms.ResetPasswordForm",
    "reauthenticate": "tenants.users.account_forms.PasswordAgainForm",
}
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_RATE_LIMITS = {
    "login_failed": "10/m/ip,5/5m/key",
    "login": "30/m/ip",
    "signup": "10/m/ip,60/h/ip",
    "confirm_email": "1/m/key,10/h/key",
    "reset_password": "10/m/ip,3/10m/key",
}
MFA_ADAPTER = "tenants.users.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "AgentFlare"
# A clock may be half a minute off.
MFA_TOTP_TOLERANCE = 1
# An address that is being changed is not verified yet, and keeps nobody from a second factor:
# signing in takes a verified one in any case.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_FORMS = {
    "authenticate": "tenants.users.account_forms.CodeForm",
    "reauthenticate": "tenants.users.account_forms.CodeAgainForm",
    "activate_totp": "tenants.users.account_forms.FirstCodeForm",
    "login_webauthn": "tenants.users.passkey_forms.PasskeyForm",
    "authenticate_webauthn": "tenants.users.passkey_forms.SecondPasskeyForm",
    "reauthenticate_webauthn": "tenants.users.passkey_forms.PasskeyAgainForm",
    "add_webauthn": "tenants.users.passkey_forms.NewPasskeyForm",
    "edit_webauthn": "tenants.users.passkey_forms.PasskeyNameForm",
}
# Mails that invite people, of one workspace and of one person.
INVITATIONS_PER_HOUR = env.integer("INVITATIONS_PER_HOUR", 20)
CACHES = {
    "default": {
        "BACKEND": "agentflare.cache.ClusterCache"
        if is_cluster(REDIS_URL)
        else "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {
            "socket_timeout": REDIS_TIMEOUT_S,
            "socket_connect_timeout": REDIS_TIMEOUT_S,
        },
    }
}

HTTPS = AGENTFLARE_URL.startswith("https://")
# Browsers allow passkeys on http://localhost alone; the library does not know that exception.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Of Django's checks before a release: the proxy sends people to https; other subdomains, and the
# list that browsers carry with them, are the owner of the domain's to decide upon.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_SSL_REDIRECT = False  # the proxy's work; /v1 must answer an error, not a redirect
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "agentflare.pages.csrf_failure"

UNFOLD = {
    "SITE_TITLE": "AgentFlare",
    "SITE_HEADER": "AgentFlare",
    "SITE_SUBHEADER": "Operator",
    "SITE_URL": reverse_lazy("home"),
    "SITE_ICON": lambda request: static("favicon.svg"),
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("favicon.svg"),
        }
    ],
    "ENVIRONMENT": "agentflare.operator_pages.environment",
    "LOGIN": {"form": "tenants.users.forms.OperatorSignInForm"},
    "DASHBOARD_CALLBACK": "billing.business.overview.overview",
    "STYLES": [lambda request: static("operator.css")],
    "SCRIPTS": [lambda request: static("operator.js")],
    "SIDEBAR": {"navigation": "agentflare.operator_pages.sidebar"},
    # The accent of static/site.css, and its lighter and darker neighbours.
    "COLORS": {
        "primary": {
            "50": "#fff6ee",
            "100": "#ffe9d5",
            "200": "#fed0aa",
            "300": "#fdb074",
            "400": "#fb9a4b",
            "500": "#f07a22",
            "600": "#b93a0b",
            "700": "#96300a",
            "800": "#7a2b10",
            "900": "#632611",
            "950": "#361006",
        }
    },
}

# --- Mail -----------------------------------------------------------------------

globals().update(env.email("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "AgentFlare <no-reply@localhost>")
# In the sandbox: the page that shows what was mailed.
MAILBOX_URL = env.text("MAILBOX_URL", " ").strip()

# --- API ------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tenants.keys.authentication.ApiKeyAuthentication"],
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

# How long a process may believe a key it has just looked up. Revocation and suspension
# take effect within this time everywhere; they promise a second.
API_KEY_MEMORY_S = 0.5
# How old a record in Redis may be before it is read again, and before it is dropped.
API_KEY_REFRESH_S = 60
API_KEY_CACHE_S = 24 * 3600

# --- Repeats --------------------------------------------------------------------

# How long the answer to a call with an Idempotency-Key is kept.
IDEMPOTENCY_KEEP_S = 24 * 3600
# How long a call that neither holds credit nor has ended is taken to be alive.
IDEMPOTENCY_GRACE_S = 60
# How long the answer of a call that has been captured may take to arrive in Redis.
IDEMPOTENCY_STORE_GRACE_S = 5
# A longer answer, compressed, is not kept.
IDEMPOTENCY_MAX_BODY_BYTES = env.integer("IDEMPOTENCY_MAX_BODY_BYTES", 8 * 1024 * 1024)
# What one tenant's kept answers may take of Redis' memory; beyond it the oldest leave.
IDEMPOTENCY_TENANT_BYTES = env.integer("IDEMPOTENCY_TENANT_BYTES", 256 * 1024 * 1024)

# --- Images by URL --------------------------------------------------------------

REMOTE_IMAGE_TIMEOUT_S = 10.0
REMOTE_IMAGE_MAX_BYTES = 10 * 1024 * 1024
# Of all images of one request together.
REMOTE_IMAGES_MAX_COUNT = 8
REMOTE_IMAGES_MAX_BYTES = 20 * 1024 * 1024
# Networks that are not public, and may be asked for images all the same.
REMOTE_IMAGE_ALLOWED_NETWORKS = env.networks("REMOTE_IMAGE_ALLOWED_NETWORKS")
# The same for tenants' webhooks.
WEBHOOK_ALLOWED_NETWORKS = env.networks("WEBHOOK_ALLOWED_NETWORKS")
# How long an image that we made can be fetched by its URL.
IMAGE_URL_TTL_S = 3600
# What one tenant's images may take of PostgreSQL meanwhile.
IMAGE_URL_TENANT_BYTES = env.integer("IMAGE_URL_TENANT_BYTES", 1024 * 1024 * 1024)

# --- Money ----------------------------------------------------------------------

# What we add to Cloudflare's price until the operator has set a markup in the admin.
MARKUP_PERCENT = Decimal(env.text("AGENTFLARE_MARKUP_PERCENT", "20"))
if not 0 <= MARKUP_PERCENT <= 1000:
    raise ImproperlyConfigured("AGENTFLARE_MARKUP_PERCENT must be between 0 and 1000.")
# A margin below so many per cent of the revenue is warned of.
MARGIN_FLOOR_PERCENT = Decimal(env.text("MARGIN_FLOOR_PERCENT", "10"))
if not 0 <= MARGIN_FLOOR_PERCENT < 100:
    raise ImproperlyConfigured("MARGIN_FLOOR_PERCENT must be at least 0 and less than 100.")
# A hold that is not renewed for this long belongs to a process that has died.
HOLD_TTL_S = 15
HOLD_RENEW_S = 2
# A turn whose lease is not renewed for this long was left by a process that has died.
TURN_LEASE_S = 12
# How long a turn's events can be read again after the last of them, and of one that never ends.
TURN_EVENTS_S = 15 * 60
TURN_MOST_S = 6 * 60 * 60
# How long responses are kept that no conversation was named for.
RESPONSE_KEEP_DAYS = env.integer("RESPONSE_KEEP_DAYS", 30)
# What a workspace keeps of conversations and responses, at most.
STORED_BYTES_MOST = env.integer("CONVERSATION_STORAGE_MB", 10 * 1024) * 1024 * 1024
# How long a captured call is remembered, to capture it only once.
CAPTURE_MEMORY_S = 900
# Captures of this last while are sent again after Redis has restarted: with
# `appendfsync everysec` it may have lost what it had confirmed.
CAPTURE_REPLAY_S = 10
SETTLE_BATCH = 500
# While Redis is down PostgreSQL admits: at most so much for each tenant in one outage.
FALLBACK_ALLOWANCE_NUSD = env.nusd("FALLBACK_ALLOWANCE_DOLLARS", "1")
# Until every process has told what its calls hold, and for so long at least, only a tenant whose
# free credit is at least the allowance is served, and with no more than this part of it. A
# process that is silent for HOLD_TTL_S after that is dead.
FALLBACK_GRACE_S = 5
FALLBACK_GRACE_PART = 10
# Captures that neither store can take, until one of them can. On a disk that outlives us.
SPOOL_DIR = Path(env.text("SPOOL_DIR", str(BASE_DIR / ".spool")))
# Usage records of calls older than this are moved to files, by whole months; 0: never.
USAGE_RETENTION_DAYS = env.integer("USAGE_RETENTION_DAYS", 0)
if USAGE_RETENTION_DAYS and USAGE_RETENTION_DAYS < 30:
    raise ImproperlyConfigured("USAGE_RETENTION_DAYS must be 0 (for ever) or at least 30.")
# Exports of whole workspaces, for a day. Workers write them, web processes read them.
EXPORT_DIR = env.text("EXPORT_DIR", str(BASE_DIR / ".exports"))
ARCHIVE_DIR = env.text("ARCHIVE_DIR", str(BASE_DIR / "archive"))

# How far Cloudflare's own count of a day's neurons may be from ours, for each AI model: so many
# per cent of it, or so many neurons, whichever is more.
RECONCILE_TOLERANCE_PERCENT = Decimal(env.text("RECONCILE_TOLERANCE_PERCENT", "1"))
RECONCILE_TOLERANCE_NEURONS = Decimal(env.text("RECONCILE_TOLERANCE_NEURONS", "10"))
if RECONCILE_TOLERANCE_PERCENT < 0 or RECONCILE_TOLERANCE_NEURONS < 0:
    raise ImproperlyConfigured("RECONCILE_TOLERANCE_PERCENT and _NEURONS must not be below 0.")
# For how many days a day is looked at again: figures arrive late.
RECONCILE_DAYS = env.integer("RECONCILE_DAYS", 4)
if not 1 <= RECONCILE_DAYS <= 30:
    raise ImproperlyConfigured("RECONCILE_DAYS must be between 1 and 30.")
# Of each account's calls, in one run, at most so many are looked up in AI Gateway's log.
RECONCILE_LOGS_AT_ONCE = 50

# --- Payments -------------------------------------------------------------------

# None: the billing page says that payments are not set up.
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY", " ").strip()
# Of the webhook endpoint, <AGENTFLARE_URL>/webhooks/stripe.
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET", " ").strip()
# Another server that speaks Stripe's API.
STRIPE_API_BASE = env.text("STRIPE_API_BASE", " ").strip().rstrip("/")
# Added to what credit costs, and shown before it is paid. The tax is on credit and fee.
TOP_UP_FEE_PERCENT = env.percent("TOP_UP_FEE_PERCENT", "0")
TOP_UP_TAX_PERCENT = env.percent("TOP_UP_TAX_PERCENT", "0")
TOP_UP_TAX_NAME = env.text("TOP_UP_TAX_NAME", "Tax")
# What can be bought at once, where a tenant's plan has no bounds of its own.
TOP_UP_LEAST_DOLLARS = env.integer("TOP_UP_LEAST_DOLLARS", 5)
TOP_UP_MOST_DOLLARS = env.integer("TOP_UP_MOST_DOLLARS", 1000)
# How long after its payment unused credit can be paid back.
REFUND_DAYS = env.integer("REFUND_DAYS", 60)

# --- Upstream -------------------------------------------------------------------

# None: the pool is what the operator has added (`manage.py upstream`).
CLOUDFLARE_ACCOUNT_ID = env.text("CLOUDFLARE_ACCOUNT_ID", " ").strip()
CLOUDFLARE_API_TOKEN = env.text("CLOUDFLARE_API_TOKEN", " ").strip()
CLOUDFLARE_BASE_URL = env.text("CLOUDFLARE_BASE_URL", "https://api.cloudflare.com/client/v4")
# The AI Gateway to go through; none: straight to Workers AI.
CLOUDFLARE_GATEWAY_ID = env.text("CLOUDFLARE_GATEWAY_ID", " ").strip()
UPSTREAM_CONNECT_TIMEOUT_S = 5
# Longest silence: until the answer begins, and between two pieces of it.
UPSTREAM_READ_TIMEOUT_S = env.integer("UPSTREAM_READ_TIMEOUT_S", 120)
# How old the snapshot of models, prices, routes and upstreams may be.
CATALOGUE_REFRESH_S = env.integer("CATALOGUE_REFRESH_S", 5)
# How often a call is tried at most, over all accounts and AI models that may answer it.
UPSTREAM_ATTEMPTS = 3
# What a tenant pays of the price when AI Gateway answers from its cache, which costs us nothing.
CACHE_HIT_PERCENT = Decimal(env.text("CACHE_HIT_PERCENT", "0"))
# The output cap where the client names none. Upstream's own default is 256 on older models.
DEFAULT_MAX_OUTPUT_TOKENS = 4096
DEFAULT_MAX_REASONING_OUTPUT_TOKENS = 16_384

# --- Celery ---------------------------------------------------------------------

CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", "") or env.redis_database(REDIS_URL, 1)
# So many queues `settle.0`, `settle.1` … have the partitions between them; 0: the common one has.
SETTLE_QUEUES = env.integer("SETTLE_QUEUES", 0)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A task that was taken and not finished is given out again after this.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60}
CELERY_TASK_TIME_LIMIT = 50
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# A run that waited longer than its period is dropped: the next one does its work.
CELERY_BEAT_SCHEDULE = {
    "settle": {
        "task": "billing.settlement.tasks.settle_task",
        "schedule": 1.0,
        "options": {"expires": 5},
    },
    "expire-holds": {
        "task": "billing.settlement.tasks.expire_holds_task",
        "schedule": 2.0,
        "options": {"expires": 5},
    },
    "heal-turns": {
        "task": "agents.turns.tasks.heal_turns_task",
        "schedule": 2.0,
        "options": {"expires": 5},
    },
    "delete-old-responses": {
        "task": "agents.turns.tasks.delete_old_responses_task",
        "schedule": crontab(hour=3, minute=27),
    },
    "learn-prompt-tokens": {
        "task": "inference.tokens.tasks.learn_task",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
    "delete-expired-images": {
        "task": "inference.images.tasks.delete_expired_images_task",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
    "look-at-stripe-events": {
        "task": "billing.payments.tasks.look_at_events_task",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "fetch-missed-stripe-events": {
        "task": "billing.payments.tasks.fetch_missed_events_task",
        "schedule": 300.0,
        "options": {"expires": 200},
    },
    "look-after-payments": {
        "task": "billing.payments.tasks.look_after_payments_task",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "send-owed-mails": {
        "task": "billing.payments.tasks.send_owed_mails_task",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "look-after-balances": {
        "task": "billing.payments.tasks.look_after_balances_task",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "archive-usage": {
        "task": "billing.archive.tasks.archive_usage_task",
        "schedule": crontab(hour=3, minute=17),
        "options": {"expires": 3600},
    },
    "reconcile": {
        "task": "inference.reconciliation.tasks.reconcile_task",
        "schedule": crontab(hour=2, minute=37),
        "options": {"expires": 3600},
    },
    "roll-up-upstreams": {
        "task": "inference.reconciliation.tasks.roll_up_task",
        "schedule": 600.0,
        "options": {"expires": 500},
    },
    "collect-figures": {
        "task": "inference.reconciliation.tasks.collect_figures_task",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "save-refusals": {
        "task": "billing.usage.tasks.save_refusals_task",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "send-notices": {
        "task": "inference.catalog.tasks.send_notices_task",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "compare-catalogue": {
        "task": "inference.catalog.tasks.compare_task",
        "schedule": crontab(hour=4, minute=7),
        "options": {"expires": 3600},
    },
    "publish-maintenance": {
        "task": "tenants.announcements.tasks.publish_maintenance_task",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
    "roll-up-business": {
        "task": "billing.business.tasks.roll_up_task",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
    "roll-up-business-anew": {
        "task": "billing.business.tasks.roll_up_anew_task",
        "schedule": crontab(hour=3, minute=47),
        "options": {"expires": 3600},
    },
    "clear-people": {
        "task": "tenants.users.tasks.clear_people_task",
        "schedule": crontab(hour=4, minute=7),
        "options": {"expires": 3600},
    },
    "look-after-exports": {
        "task": "billing.exports.tasks.look_after_exports_task",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
    "delete-closed": {
        "task": "billing.closing.tasks.delete_closed_task",
        "schedule": crontab(hour=4, minute=27),
        "options": {"expires": 3600},
    },
    "close-day": {
        "task": "billing.usage.tasks.close_day_task",
        "schedule": crontab(hour=0, minute=20),
        "options": {"expires": 3600},
    },
    "wake-up-webhooks": {
        "task": "tenants.webhooks.tasks.wake_up_task",
        "schedule": 2.0,
        "options": {"expires": 5},
    },
    "save-last-used": {
        "task": "tenants.keys.tasks.save_last_used_task",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
}

# --- Metrics --------------------------------------------------------------------

# Whoever has it may read /metrics; without it nobody can.
METRICS_TOKEN = env.text("METRICS_TOKEN", "sandbox" if SANDBOX else " ").strip()

# --- Logs -----------------------------------------------------------------------

# One JSON object a line, or text for people.
LOG_FORMAT = logs.form()
# A line for each request below /v1 and each page.
ACCESS_LOG = env.flag("ACCESS_LOG", default=not SANDBOX)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "agentflare.logs.JsonFormatter"},
        "text": {"()": "agentflare.logs.TextFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        # 4xx are the client's affair and no news of ours.
        "django.request": {"level": "ERROR"},
        "urllib3": {"level": "WARNING"},
    },
}
