"""POST /v1/translations: texts from one language into another."""

from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from inference.idempotency.views import InferenceView
from inference.task_usage import usage_of
from inference.tasks import run_task
from inference.translations.params import TranslationParams
from inference.translations.task import ENDPOINT, TranslationTask
from inference.views import call_of


class TranslationsView(InferenceView):
    def post(self, request: Request) -> JsonResponse:
        params = read_params(request, TranslationParams)
        call = call_of(request, endpoint=ENDPOINT, model=params.model)
        done = run_task(call, TranslationTask(params))
        body = {
            "object": "list",
            "data": [
                {"object": "translation", "index": index, "text": text}
                for index, text in enumerate(done.values)
            ],
            "model": params.model,
            "usage": usage_of(done),
        }
        return JsonResponse(body, headers=done.headers)
