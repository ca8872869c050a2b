"""POST /v1/classifications: labels for texts."""

from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from inference.classifications.params import ClassificationParams
from inference.classifications.task import ENDPOINT, ClassificationTask
from inference.idempotency.views import InferenceView
from inference.task_usage import usage_of
from inference.tasks import run_task
from inference.views import call_of


class ClassificationsView(InferenceView):
    def post(self, request: Request) -> JsonResponse:
        params = read_params(request, ClassificationParams)
        call = call_of(request, endpoint=ENDPOINT, model=params.model)
        done = run_task(call, ClassificationTask(params.texts()))
        body = {
            "object": "list",
            "data": [
                {"object": "classification", "index": index, "results": labels[: params.top_k]}
                for index, labels in enumerate(done.values)
            ],
            "model": params.model,
            "usage": usage_of(done),
        }
        return JsonResponse(body, headers=done.headers)
