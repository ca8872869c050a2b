"""POST /v1/run/{model}: the model's own body, and its own answer. Metered all the same."""

from typing import Any

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from agentflare.api import JsonResponse
from inference.idempotency.views import InferenceView
from inference.run.body import native_request
from inference.run.stream import NativeStreamRun
from inference.run.task import ENDPOINT, NativeTask
from inference.tasks import run_task
from inference.upstreams.requests import JsonRequest
from inference.views import RunStream, call_of


class RunView(InferenceView):
    def post(self, request: Request, name: str) -> HttpResponseBase:
        native = native_request(request)
        wants_stream = isinstance(native, JsonRequest) and bool(native.body.get("stream"))
        call = call_of(request, endpoint=ENDPOINT, model=name, is_stream=wants_stream)
        task = NativeTask(native)
        if wants_stream:
            return RunStream(NativeStreamRun(call, task), request=request)
        done = run_task(call, task)
        (found,) = done.values
        if isinstance(found.content, bytes):
            return HttpResponse(
                found.content,
                content_type=found.content_type,
                headers={**done.headers, "Content-Length": str(len(found.content))},
            )
        return JsonResponse(enveloped(found.content), headers=done.headers)


def enveloped(result: Any) -> dict[str, Any]:
    """As Cloudflare's own API answers."""
    return {"result": result, "success": True, "errors": [], "messages": []}
