"""What the operator's overview says of the catalogue."""

from collections.abc import Iterator

from billing.business.health import Finding
from inference.catalog.models import Comparison, Difference

_PAGE = "admin_comparison"


def findings() -> Iterator[Finding]:
    latest = Comparison.objects.first()
    if latest and latest.error:
        yield Finding("Cloudflare’s list of models", "did not come", is_well=False, page=_PAGE)
    found = Difference.objects.filter(dismissed_at=None).count()
    yield Finding("Differences to Cloudflare’s models", str(found), not found, page=_PAGE)
