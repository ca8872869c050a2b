"""What the admin's theme asks of us: its sidebar, and the label in its head."""

from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse


class Page(NamedTuple):
    """A list in the admin. icon: a name from Material Symbols. url: of a page that is no list."""

    title: str
    icon: str
    app: str
    model: str
    url: str = ""


SIDEBAR = {
    "Customers": [
        Page("Tenants", "apartment", "registry", "tenant"),
        Page("Plans", "speed", "registry", "plan"),
        Page("Domains", "language", "registry", "domain"),
        Page("Announcements", "campaign", "announcements", "announcement"),
        Page("Maintenance", "construction", "announcements", "maintenance", "admin_maintenance"),
    ],
    "People": [
        Page("Users", "group", "users", "user"),
        Page("Sign-ins", "login", "users", "signin"),
        Page("Operators’ trail", "history", "operators", "operatoraction"),
    ],
    "Money": [
        Page("Month’s close", "event_available", "business", "ledgermonth", url="admin_close"),
        Page("Reconciliation", "balance", "reconciliation", "upstreamday"),
        Page("Settlement", "sync_alt", "business", "queuesample", url="admin_backlog"),
        Page("Dead letters", "drafts", "business", "queuesample", url="admin_dead_letters"),
        Page("Holds", "hourglass_top", "registry", "tenant", url="admin_holds"),
        Page("Disputes", "gavel", "stripe", "knowndispute", url="admin_disputes"),
        Page("Stripe events", "webhook", "stripe", "stripeevent"),
    ],
    "Offer": [
        Page("AI models", "neurology", "catalog", "aimodel"),
        Page("Compare", "compare_arrows", "catalog", "difference", url="admin_comparison"),
        Page("Prices", "sell", "prices", "priceversion", url="admin_prices"),
        Page("Routes", "alt_route", "catalog", "route"),
        Page("Upstreams", "cloud", "upstreams", "upstream", url="admin_upstreams"),
    ],
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links to what this operator may see."""
    return [
        {"title": title, "separator": True, "items": [_link(page) for page in pages]}
        for title, pages in SIDEBAR.items()
    ]


def _link(page: Page) -> dict[str, Any]:
    permission = f"{page.app}.view_{page.model}"
    return {
        "title": page.title,
        "icon": page.icon,
        "link": reverse(page.url or f"admin:{page.app}_{page.model}_changelist"),
        "permission": lambda request: request.user.has_perm(permission),
    }


def environment(request: HttpRequest) -> tuple[str, str] | None:
    """A label at the top of every page: text and colour."""
    return ("Sandbox", "warning") if settings.SANDBOX else None
