"""POST /v1/rerank: the shape that Jina, Cohere and vLLM share."""

from typing import Any

from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from billing.prices.models import Unit
from inference.idempotency.views import InferenceView
from inference.rerank.params import RerankParams
from inference.rerank.task import ENDPOINT, RerankTask, ranked
from inference.task_usage import money_fields
from inference.tasks import Done, run_task
from inference.views import call_of


class RerankView(InferenceView):
    def post(self, request: Request) -> JsonResponse:
        params = read_params(request, RerankParams)
        call = call_of(request, endpoint=ENDPOINT, model=params.model)
        done = run_task(call, RerankTask(params.query, params.texts()))
        body = rerank_object(f"rerank-{call.request_id.hex}", params, done)
        return JsonResponse(body, headers=done.headers)


def rerank_object(rerank_id: str, params: RerankParams, done: Done) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for index, score in ranked(done.values)[: params.top_n]:
        result: dict[str, Any] = {"index": index, "relevance_score": score}
        if params.return_documents:
            result["document"] = params.document(index)
        results.append(result)
    tokens = done.used.tokens(Unit.INPUT_TOKENS)
    return {
        "id": rerank_id,
        "object": "list",
        "model": params.model,
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, **money_fields(done.told)},
        "meta": {"billed_units": {"search_units": 1, "input_tokens": tokens}},
    }
