"""POST /v1/moderations, as in OpenAI's API reference."""

from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from agentflare.errors import ModelNotFoundError
from inference.catalog.selectors import catalogue
from inference.idempotency.views import InferenceView
from inference.moderations.categories import moderation_result
from inference.moderations.params import OPENAI_NAMES, ModerationParams
from inference.moderations.task import ENDPOINT, KINDS, ModerationTask, error_of
from inference.task_usage import money_fields
from inference.tasks import run_task
from inference.views import call_of


class ModerationsView(InferenceView):
    def post(self, request: Request) -> JsonResponse:
        params = read_params(request, ModerationParams)
        model = model_for(params.model)
        call = call_of(request, endpoint=ENDPOINT, model=model)
        done = run_task(call, ModerationTask(params.texts()), error_of=error_of)
        body = {
            "id": f"modr-{call.request_id.hex}",
            "model": params.model or model,
            "results": [
                moderation_result(safe=verdict["safe"], hazards=verdict["hazards"])
                for verdict in done.values
            ],
            "usage": money_fields(done.told),
        }
        return JsonResponse(body, headers=done.headers)


def model_for(name: str | None) -> str:
    """Clients name OpenAI's model, or none: the first one for moderation that is served."""
    if name is not None and name not in OPENAI_NAMES:
        return name
    snapshot = catalogue()
    if name in snapshot.routes:
        assert name is not None
        return name
    for offer in snapshot.offers.values():
        if offer.kind in KINDS and offer.is_listed_for(""):
            return offer.name
    raise ModelNotFoundError(name or "omni-moderation-latest")
