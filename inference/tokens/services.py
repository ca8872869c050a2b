"""Learning from settled calls: facts from settlement into evidence, evidence into corrections.

Run by one worker at a time, every minute. Evidence is kept for WINDOW and no longer, so what
upstream changes is followed within a day: upwards at once, downwards when the window has
passed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_tenants.utils import schema_context

from billing.settlement.prompt_facts import PromptFact, partitions_with_facts, pop_facts
from inference.tokens.factors import basis
from inference.tokens.learning import Cell, bin_of, cell_of, correction_from
from inference.tokens.models import PromptCorrection, PromptEvidence

WINDOW = timedelta(hours=20)
# Evidence is kept by this many hours, and leaves by them.
_HOURS = 4
# How many tenants' evidence a cell keeps for the same hours.
_TENANTS_OF_A_CELL = 64
# Any number that no other lock of ours has.
_LOCK = 7_041_776


def learn() -> int:
    """Take in what settlement has handed on. Returns how many calls.

    A second run at the same time does nothing. A crash loses the facts it had taken.
    """
    with schema_context("public"), transaction.atomic():
        if not _is_alone():
            return 0
        now = timezone.now()
        facts = [fact for partition in partitions_with_facts() for fact in pop_facts(partition)]
        touched = store_evidence(facts, now=now)
        touched |= forget_old_evidence(now=now)
        for cell in touched:
            update_correction(cell, now=now)
        return len(facts)


def store_evidence(facts: Iterable[PromptFact], *, now: datetime) -> set[Cell]:
    """Add facts to what is known of their cells. Returns these cells."""
    new: dict[Cell, dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    for fact in facts:
        likely, most = fact.likely_tokens, fact.most_tokens
        cell = cell_of(model=fact.ai_model, script=fact.script, likely=likely)
        bin_ = bin_of(real=fact.real_tokens, likely=likely, most=most)
        new[cell][fact.tenant_code][bin_] += 1
    for cell, by_tenant in new.items():
        _add_to_cell(cell, by_tenant, since=start_of_hours(now))
    return set(new)


def _add_to_cell(cell: Cell, by_tenant: dict[str, Counter[int]], *, since: datetime) -> None:
    rows = {row.tenant_code: row for row in _evidence(cell).filter(since=since)}
    changed = []
    for tenant_code, scores in by_tenant.items():
        row = rows.get(tenant_code)
        if row is None:
            if len(rows) >= _TENANTS_OF_A_CELL:
                continue
            row = PromptEvidence(**_columns(cell), since=since, tenant_code=tenant_code)
            rows[tenant_code] = row
        for bin_, calls in scores.items():
            row.scores[str(bin_)] = row.scores.get(str(bin_), 0) + calls
        changed.append(row)
    PromptEvidence.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["ai_model", "script", "size", "basis", "since", "tenant_code"],
        update_fields=["scores"],
    )


def forget_old_evidence(*, now: datetime) -> set[Cell]:
    """Drop what the window has passed, and what other start values left. Returns its cells."""
    old = PromptEvidence.objects.filter(since__lt=start_of_hours(now) - WINDOW)
    cells = set(old.values_list("ai_model", "script", "size").distinct())
    old.delete()
    PromptCorrection.objects.exclude(basis=basis()).delete()
    return cells


def update_correction(cell: Cell, *, now: datetime) -> None:
    """Publish what the cell's evidence comes to; nothing is left of a cell without any."""
    ai_model, script, size = cell
    by_tenant: dict[str, Counter[int]] = defaultdict(Counter)
    for tenant_code, scores in _evidence(cell).values_list("tenant_code", "scores"):
        by_tenant[tenant_code].update({int(bin_): calls for bin_, calls in scores.items()})
    found = correction_from(by_tenant)
    if found is None:
        PromptCorrection.objects.filter(ai_model=ai_model, script=script, size=size).delete()
        return
    PromptCorrection.objects.update_or_create(
        ai_model=ai_model,
        script=script,
        size=size,
        defaults={
            "basis": basis(),
            "likely": found.likely,
            "most": found.most,
            "may_lower": found.may_lower,
            "calls": sum(scores.total() for scores in by_tenant.values()),
            "tenants": len(by_tenant),
            "updated_at": now,
        },
    )


def start_of_hours(moment: datetime) -> datetime:
    return moment.replace(hour=moment.hour // _HOURS * _HOURS, minute=0, second=0, microsecond=0)


def _evidence(cell: Cell) -> QuerySet[PromptEvidence]:
    return PromptEvidence.objects.filter(**_columns(cell))


def _columns(cell: Cell) -> dict[str, str | int]:
    ai_model, script, size = cell
    return {"ai_model": ai_model, "script": script, "size": size, "basis": basis()}


def _is_alone() -> bool:
    """Until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        (is_mine,) = cursor.fetchone()
    return bool(is_mine)
