"""Making and changing routes. The command line and the admin call these."""

import re
from collections.abc import Mapping, Sequence

from django.db import transaction

from inference.catalog.models import AIModel, Route, RouteCandidate

# Clients name it, also in addresses.
_NAME = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._:/-]{0,79}")
_MOST_WEIGHT = 10_000


class RouteError(ValueError):
    """What the operator asked for cannot be done; the text says why."""


@transaction.atomic
def set_route(
    *, name: str, weights: Mapping[str, int], fallbacks: Sequence[str] = (), note: str = ""
) -> Route:
    """Make a route, or give it these candidates in place of its old ones.

    weights: AI model → its share of the calls. All candidates must do the same kind of work.
    Raises RouteError.
    """
    if not _NAME.fullmatch(name):
        raise RouteError(f"{name!r}: a name has up to 80 letters, digits, and any of . _ : / -")
    names = [*weights, *fallbacks]
    if not names:
        raise RouteError("A route needs at least one AI model.")
    if len(set(names)) < len(names):
        raise RouteError("An AI model can stand in a route once.")
    if any(weight > _MOST_WEIGHT for weight in weights.values()):
        raise RouteError(f"A weight is at most {_MOST_WEIGHT}.")
    if any(weight < 1 for weight in weights.values()):
        raise RouteError("A weight is at least 1; without one, a model is a fallback.")
    models = {row.name: row for row in AIModel.objects.filter(name__in=names)}
    if missing := [name for name in names if name not in models]:
        raise RouteError(f"There is no AI model {missing[0]!r}.")
    kinds = {row.kind for row in models.values()}
    if len(kinds) > 1:
        raise RouteError(f"These AI models do different work: {', '.join(sorted(kinds))}.")
    route, _ = Route.objects.update_or_create(name=name, defaults={"note": note, "is_active": True})
    route.candidates.all().delete()
    RouteCandidate.objects.bulk_create(
        RouteCandidate(
            route=route, ai_model=models[name], weight=weights.get(name, 0), position=position
        )
        for position, name in enumerate(names)
    )
    return route


def remove_route(*, name: str) -> None:
    """Raises RouteError when there is none."""
    deleted, _ = Route.objects.filter(name=name).delete()
    if not deleted:
        raise RouteError(f"There is no route {name!r}.")
