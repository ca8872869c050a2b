"""Cloudflare's own list of models beside our catalogue: what is new, gone or changed.

Nothing is taken over. A list that did not come in full changes nothing that was known.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from inference.catalog.models import AIModel, Comparison, Difference
from inference.catalog.services import DATA_FILE
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.selectors import read_accounts
from inference.workers_ai.models_list import ListedModel, ModelsListError, listed_models

# Property of theirs → flag of ours. Scalars of theirs are text, and false ones are left out.
_FLAGS = {
    "function_calling": "function_calling",
    "reasoning": "reasoning",
    "vision": "vision",
    "lora": "lora",
    "beta": "beta",
    "partner": "partner",
    "require_workers_paid": "requires_paid_plan",
    "async_queue": "async_queue",
}
_NUMBERS = {
    "context_window": "context_window",
    "max_input_tokens": "max_input_tokens",
    "output_dimensions": "embedding_dimensions",
}
_END = "planned_deprecation_date"
# Prices there are rounded to three digits or so.
_PRICE_TOLERANCE = Decimal("0.005")
# A list with fewer of our models than this is a fault, and not their end.
_LEAST_SHARE = 0.5

Found = dict[tuple[str, str], Difference]


def compare() -> Comparison:
    """Ask the first active account, and keep what differs. A failure is kept too, as `error`."""
    accounts = [each for each in read_accounts().values() if each.provider == WORKERS_AI]
    if not accounts:
        return Comparison.objects.create(error="There is no active Cloudflare account to ask.")
    account = accounts[0]
    try:
        theirs = listed_models(account)
        found = {_key(each): each for each in differences(theirs)}
    except ModelsListError as exc:
        return Comparison.objects.create(account=account.name, error=str(exc)[:300])
    return _keep(account, theirs, found)


def _key(difference: Difference) -> tuple[str, str]:
    return difference.upstream_model, difference.field


@transaction.atomic
def _keep(account: Account, theirs: Mapping[str, ListedModel], found: Found) -> Comparison:
    known = {_key(row): row for row in Difference.objects.select_for_update()}
    for key, row in known.items():
        if key not in found:
            row.delete()
    for key, new in found.items():
        old = known.get(key)
        if old is None:
            new.save()
        elif (old.what, old.ours, old.theirs) != (new.what, new.ours, new.theirs):
            if (old.what, old.theirs) != (new.what, new.theirs):
                old.dismissed_at = None
                old.first_seen_at = timezone.now()
            old.what, old.ours, old.theirs = new.what, new.ours, new.theirs
            old.save()
    return Comparison.objects.create(account=account.name, models_seen=len(theirs))


def differences(theirs: Mapping[str, ListedModel]) -> Iterator[Difference]:
    """Unsaved. Raises ModelsListError for a list that cannot be the whole."""
    rows = {row["id"]: row for row in json.loads(DATA_FILE.read_text(), parse_float=Decimal)}
    ours = {
        model.upstream_model: model
        for model in AIModel.objects.filter(upstream=None, state=AIModel.State.OFFERED)
    }
    listed = {name for name in ours if rows.get(name, {}).get("status") != "active_unlisted"}
    if len(listed & theirs.keys()) < _LEAST_SHARE * len(listed):
        raise ModelsListError(
            f"The list has {len(listed & theirs.keys())} of our {len(listed)} models: that cannot "
            "be all of it."
        )
    for name in sorted(theirs.keys() - ours.keys()):
        yield _new(theirs[name], rows.get(name))
    for name in sorted(listed - theirs.keys()):
        yield Difference(upstream_model=name, what=Difference.What.GONE, ours=ours[name].name)
    for name in sorted(ours.keys() & theirs.keys()):
        if name in rows:
            yield from _changes(ours[name], rows[name], theirs[name])


def _new(model: ListedModel, row: Mapping[str, Any] | None) -> Difference:
    told = model.task
    if row is not None:
        told += f" (with us: {row['status']})"
    return Difference(
        upstream_model=model.name, what=Difference.What.NEW, theirs=told.strip()[:300]
    )


def _changes(model: AIModel, row: Mapping[str, Any], theirs: ListedModel) -> Iterator[Difference]:
    def changed(field: str, ours: str, told: str) -> Difference:
        return Difference(
            upstream_model=model.upstream_model,
            what=Difference.What.CHANGED,
            field=field[:60],
            ours=ours,
            theirs=told[:300],
        )

    for field, own_name in _NUMBERS.items():
        ours = _operators(model, own_name, row[own_name])
        told = theirs.properties.get(field)
        if told is not None and told != _text(ours):
            yield changed(field, _text(ours), told)
    for field, flag in _FLAGS.items():
        is_there, is_here = theirs.properties.get(field) == "true", bool(row["flags"][flag])
        if is_there != is_here:
            yield changed(field, _yes(is_here), _yes(is_there))
    if ends := theirs.properties.get(_END):
        ours = model.ends_on.isoformat() if model.ends_on else "none"
        if not ends.startswith(ours):
            yield changed(_END, ours, ends)
    yield from _price_changes(row, theirs, changed)


def _price_changes(row: Mapping[str, Any], theirs: ListedModel, changed: Any) -> Iterator[Any]:
    """A price that is zero or missing there is one that is not published, and not "free"."""
    here = {price["label"]: Decimal(str(price["usd"])) for price in row["pricing"] or []}
    for label, told in theirs.prices.items():
        if not told:
            continue
        ours = here.get(label)
        if ours is None or abs(told - ours) > _PRICE_TOLERANCE * max(told, ours):
            yield changed(f"price {label}", "none" if ours is None else f"${ours:f}", f"${told:f}")


def _operators(model: AIModel, own_name: str, released: Any) -> Any:
    """A correction of the operator's stands before the release."""
    name = "dimensions" if own_name == "embedding_dimensions" else own_name
    return model.corrections.get(name, released)


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
