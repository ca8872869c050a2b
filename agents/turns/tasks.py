"""Celery's side of turns."""

from uuid import UUID

from celery import shared_task

from agents.turns import services
from agents.turns.models import Turn
from tenants.registry.schemas import tenant_schema


@shared_task
def heal_turns_task() -> int:
    """Turns that their process has left."""
    from agents.turns.healing import heal_all

    return heal_all()


@shared_task
def learn_costs_task(tenant_code: str, turn: str) -> None:
    """What the last call of an interrupted turn has cost, once it is settled."""
    with tenant_schema(tenant_code):
        if found := Turn.objects.filter(pk=UUID(hex=turn)).first():
            services.learn_costs(found)


@shared_task
def delete_old_responses_task() -> int:
    """Each night."""
    from agents.turns.retention import delete_old_responses

    return delete_old_responses()
