"""A key has spent a chosen part of one of its budgets: noted once, and told to its people."""

import logging
from collections.abc import Mapping

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agentflare.money import format_usd
from billing.admission.gate import Spent
from billing.usage.models import SpendAlert
from tenants.keys.models import ApiKey
from tenants.members.mails import send
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.webhooks.outbox import emit
from tenants.workspaces.alerts import told_now

logger = logging.getLogger(__name__)


def note_alerts(spent: Mapping[str, Spent]) -> int:
    """Note every percentage that has been reached. Returns how many are new.

    spent: by line of keys. Call it in the booking's transaction; a repeat notes nothing new.
    """
    keys = ApiKey.objects.filter(line_id__in=spent, revoked_at=None, rotated_to="")
    reached = [
        SpendAlert(
            line_id=key.line_id,
            period=period,
            percent=percent,
            budget_nusd=budget,
            spent_nusd=amount,
        )
        for key in keys
        if key.budgets
        for budget, period, amount in _measures(key, spent[key.line_id])
        for percent in key.alert_percents
        if amount * 100 >= budget * percent
    ]
    if not reached:
        return 0
    # Once a percentage is reached it is so with every batch of the period.
    noted = set(
        SpendAlert.objects.filter(line_id__in={alert.line_id for alert in reached}).values_list(
            "line_id", "period", "percent"
        )
    )
    new = [alert for alert in reached if (alert.line_id, alert.period, alert.percent) not in noted]
    SpendAlert.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _measures(key: ApiKey, spent: Spent) -> list[tuple[int, str, int]]:
    """Each budget that the key has, the name of its period now, and what was spent in it."""
    every = [
        (key.day_budget_nusd, spent.day, spent.day_nusd),
        (key.month_budget_nusd, spent.month, spent.month_nusd),
        (key.life_budget_nusd, "life", spent.life_nusd),
    ]
    return [(budget, period, amount) for budget, period, amount in every if budget]


def tell_alerts(tenant: Tenant) -> int:
    """Mail what has not been told yet to the tenant's people. Returns how many alerts.

    Of several percentages reached at once only the highest is worth a mail. A mail that fails
    is tried again with the next alert; one is sent twice rather than never.
    """
    with tenant_schema(tenant.code):
        alerts = list(SpendAlert.objects.filter(told_at=None).order_by("id"))
        names = {
            key.line_id: f"{key.name} ({key.prefix}…)"
            for key in ApiKey.objects.filter(line_id__in={alert.line_id for alert in alerts})
        }
    if not alerts:
        return 0
    highest = {(alert.line_id, alert.period): alert for alert in alerts}
    for alert in alerts:
        if alert.percent > highest[alert.line_id, alert.period].percent:
            highest[alert.line_id, alert.period] = alert
    with tenant_schema(tenant.code), transaction.atomic():
        for alert in highest.values():
            _emit(alert, tenant, names)
    addresses = told_now(tenant, len(highest))
    for alert in highest.values():
        name = names.get(alert.line_id, alert.line_id)
        logger.info("%s: key %s has spent %d %%", tenant.slug, alert.line_id, alert.percent)
        for address in addresses:
            subject = f"{tenant.name}: API key {name} has spent {alert.percent} % of its budget"
            send(address, subject, _text(alert, tenant, name))
    with tenant_schema(tenant.code):
        ids = [alert.pk for alert in alerts]
        SpendAlert.objects.filter(pk__in=ids).update(told_at=timezone.now())
    return len(alerts)


def _emit(alert: SpendAlert, tenant: Tenant, names: Mapping[str, str]) -> None:
    data = {
        "key": names.get(alert.line_id, alert.line_id),
        "line_id": alert.line_id,
        "period": alert.period,
        "percent": alert.percent,
        "budget_nusd": str(alert.budget_nusd),
        "spent_nusd": str(alert.spent_nusd),
    }
    cause = f"{alert.line_id}:{alert.period}:{alert.percent}"
    emit(tenant_code=tenant.code, event="key.budget_reached", cause=cause, data=data)


def _text(alert: SpendAlert, tenant: Tenant, name: str) -> str:
    span = {8: "today (UTC)", 6: "this month (UTC)"}.get(len(alert.period), "in its life")
    over = alert.spent_nusd >= alert.budget_nusd
    then = (
        "Its calls are refused now."
        if over
        else "When nothing is left, its calls are refused with the code key_budget_exceeded."
    )
    return (
        f"The API key {name} of {tenant.name} may spend ${format_usd(alert.budget_nusd)} {span}, "
        f"and has spent ${format_usd(alert.spent_nusd)}.\n\n{then}\n\n"
        f"{settings.AGENTFLARE_URL}/t/{tenant.slug}/\n"
    )
