"""People in front of a workspace's pages, and calls for them to look at."""

import json
import re
import time
from typing import Any

from django.test import Client

from agentflare.partitions import partition_of
from billing.admission.services import admit, capture
from billing.admission.tests.builders import event
from billing.settlement.services import settle_partition
from billing.usage.events import UsageEvent
from tenants.users.models import Role, User
from tenants.users.services import add_member

USD = 1_000_000_000


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def as_member(cast: Any, role: Role) -> Client:
    user = add_member(tenant=cast.tenant, email=f"{role}@{cast.tenant.slug}.test", role=role)
    return signed_in(user)


def text(response: Any) -> str:
    """The markup, with every run of white space as one space, and without its CSRF token."""
    markup = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())
    return " ".join(markup.split())


def page_of(cast: Any, path: str = "", *, status: int = 200) -> str:
    """A page below /t/<slug>/ as the owner gets it."""
    response = signed_in(cast.owner).get(f"/t/{cast.tenant.slug}/{path}")
    assert response.status_code == status
    return text(response)


def call(cast: Any, cost_nusd: int, **fields: Any) -> UsageEvent:
    """A finished call, captured and not settled yet."""
    started = {"started_at": fields.pop("started_at", time.time())}
    begun = {name: fields.pop(name) for name in ("request_id",) if name in fields}
    hold = admit(event=event(cast, cost_nusd, **started, **begun))
    ended = {"status": "completed", "duration_ms": 1240, **fields}
    captured = hold.event.with_(cost_nusd=cost_nusd, **ended)
    capture(hold, captured)
    return captured


def settle(cast: Any) -> None:
    settle_partition(partition=partition_of(cast.code))


def chart_data(page: str, name: str) -> Any:
    """What a chart is drawn from."""
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', page)
    assert found
    return json.loads(found[1])
