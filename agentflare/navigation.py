"""The way through a workspace's pages: one list, read by templates/workspace/nav.html."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True)
class Page:
    """name: of its address. right: what a role needs to see it (tenants.members.permissions).

    icon: a name of heroicons. section: names of other pages that belong to it.
    """

    name: str
    label: str
    icon: str
    right: str = "VIEW"
    section: tuple[str, ...] = ()


_WEBHOOKS = ("webhook", "webhook_new", "webhook_change", "webhook_rotate", "webhook_delivery")
_SETTINGS = (
    "settings_limits",
    "settings_alerts",
    "webhooks",
    *_WEBHOOKS,
    "settings_data",
    "settings_export",
    "settings_close",
)
AGENT_PAGES = (
    "agent_new",
    "agent_chat",
    "agent_change",
    "agent_conversations",
    "agent_conversation",
    "agent_connect",
)
NAVIGATION: dict[str, list[Page]] = {
    "": [
        Page("overview", "Overview", "home"),
        Page("keys", "API keys", "key", section=("key_new", "key", "key_change", "key_rotate")),
        Page("usage", "Usage", "chart-bar", section=("calls", "call", "refusals")),
        Page(
            "playground",
            "Playground",
            "chat-bubble-left-right",
            right="CALL",
            section=(
                "playground_images",
                "playground_speech",
                "playground_transcription",
                "playground_embeddings",
            ),
        ),
        Page("agents", "Agents", "sparkles", right="USE_AGENTS", section=AGENT_PAGES),
        Page("models", "Models", "cpu-chip", section=("model",)),
        Page("quickstart", "Quickstart", "rocket-launch"),
        Page("guides", "Docs", "book-open", section=("guide",)),
    ],
    "Money": [
        Page(
            "billing",
            "Billing",
            "credit-card",
            right="VIEW_BILLING",
            section=(
                "billing_top_up",
                "billing_auto",
                "billing_alert",
                "billing_payments",
                "billing_payment",
                "billing_pay",
                "billing_card",
                "billing_refund",
                "billing_statement",
                "billing_details",
            ),
        ),
    ],
    "Workspace": [
        Page("team", "Team", "users", section=("team_invite", "member", "member_role")),
        Page("settings", "Settings", "cog-6-tooth", right="MANAGE_SETTINGS", section=_SETTINGS),
        Page("audit", "Audit trail", "clipboard-document-list", right="VIEW_AUDIT"),
    ],
}

# The tabs of the settings: name of the page, label, right, names of other pages that belong to it.
_TABS = (
    Page("settings", "General", "", "MANAGE_SETTINGS"),
    Page("settings_limits", "Limits", "", "MANAGE_SETTINGS"),
    Page("settings_alerts", "Alerts", "", "MANAGE_SETTINGS"),
    Page("webhooks", "Webhooks", "", "MANAGE_SETTINGS", section=_WEBHOOKS),
    Page("settings_data", "Data", "", "MANAGE_SETTINGS"),
    Page("settings_close", "Close", "", "OWN"),
)


def settings_tabs(request: HttpRequest, workspace: Any) -> list[dict[str, Any]]:
    """Where one of them is open; else none."""
    here = request.resolver_match.url_name if request.resolver_match else None
    if here not in ("settings", *_SETTINGS):
        return []
    return [
        {
            "label": tab.label,
            "url": reverse(tab.name, kwargs={"slug": workspace.slug}),
            "is_here": here == tab.name or here in tab.section,
        }
        for tab in _TABS
        if workspace.rights[tab.right]
    ]


def navigation_of(request: HttpRequest, workspace: Any) -> list[dict[str, Any]]:
    """Groups of links to what this member may see; the page that is open is marked."""
    here = request.resolver_match.url_name if request.resolver_match else None
    groups = []
    for title, pages in NAVIGATION.items():
        items = [
            {
                "label": page.label,
                "icon": page.icon,
                "url": reverse(page.name, kwargs={"slug": workspace.slug}),
                "is_here": here == page.name or here in page.section,
            }
            for page in pages
            if workspace.rights[page.right]
        ]
        if items:
            groups.append({"title": title, "pages": items})
    return groups
