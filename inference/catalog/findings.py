"""What the operator's overview says of the catalogue."""

from collections.abc import Iterator

from django.conf import settings

from billing.business.figures import Row, by_model, first_day
from billing.business.health import Finding
from inference.catalog.models import Comparison, Difference

_PAGE = "admin_comparison"
_DAYS = 7


def findings() -> Iterator[Finding]:
    latest = Comparison.objects.first()
    if latest and latest.error:
        yield Finding("Cloudflare’s list of models", "did not come", is_well=False, page=_PAGE)
    found = Difference.objects.filter(dismissed_at=None).count()
    yield Finding("Differences to Cloudflare’s models", str(found), not found, page=_PAGE)
    thin = thin_margins(_DAYS)
    told = ", ".join(row.name for row in thin[:3]) or "none"
    yield Finding("Models below the margin floor", told, not thin, page="admin_prices")


def thin_margins(days: int) -> list[Row]:
    """AI models that have earned less than the floor."""
    floor = settings.MARGIN_FLOOR_PERCENT
    return [
        row
        for row in by_model(first_day(days))
        if (percent := row.figures.margin_percent) is not None and percent < floor
    ]
