"""POST /v1/embeddings, as in OpenAI's API reference."""

from typing import Any

from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from billing.prices.models import Unit
from inference.embeddings.params import EmbeddingParams
from inference.embeddings.task import ENDPOINT, EmbeddingTask, Vector, as_base64
from inference.idempotency.views import InferenceView
from inference.inputs import MAX_VALUES_WITH_TOKENS, texts_of_input
from inference.task_usage import money_fields
from inference.tasks import Done, run_task
from inference.views import call_of


class EmbeddingsView(InferenceView):
    def post(self, request: Request) -> JsonResponse:
        params = read_params(request, EmbeddingParams, max_values=MAX_VALUES_WITH_TOKENS)
        texts = texts_of_input(params.input, param="input")
        call = call_of(request, endpoint=ENDPOINT, model=params.model)
        done = run_task(call, EmbeddingTask(params, texts))
        return JsonResponse(embedding_list(params, done), headers=done.headers)


def embedding_list(params: EmbeddingParams, done: Done) -> dict[str, Any]:
    vectors: list[Vector] = [vector for vectors in done.values for vector in vectors]
    packed = params.encoding_format == "base64"
    tokens = done.used.tokens(Unit.INPUT_TOKENS)
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": as_base64(vector) if packed else vector,
            }
            for index, vector in enumerate(vectors)
        ],
        "model": params.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, **money_fields(done.told)},
    }
