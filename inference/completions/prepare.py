"""A text completion made ready for one AI model."""

import math
from typing import Any

from agentflare.errors import UnsupportedParamError
from billing.prices.models import Unit
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.chat.estimate import Estimate, fit_output
from inference.chat.reading import Reading
from inference.chat.requests import MAX_NATIVE_SEED, given
from inference.chat.upstream import ChatWork
from inference.completions.params import DEFAULT_MAX_TOKENS, CompletionParams
from inference.pipeline import require_kind
from inference.tokens.bounds import token_bound
from inference.tokens.measures import measure

ENDPOINT = "completions"
# Marks that a model puts around a bare prompt.
_MARKS = 8
# Upstream's own count may be above our bound for an odd text, but not by more than this.
_BELIEVABLE = 4


def prepare_completion(params: CompletionParams, prompts: list[str], offer: Offer) -> Prepared:
    """Raises GatewayError where this model cannot do what is asked."""
    require_kind(offer, ("chat",), endpoint=ENDPOINT)
    if offer.is_native and (params.logprobs is not None or params.logit_bias):
        name = "logit_bias" if params.logit_bias else "logprobs"
        raise UnsupportedParamError(
            f"The model `{params.model}` does not support {name}.", param=name
        )
    each, choices = (params.choices, 1) if offer.is_native else (1, params.choices)
    bodies = [
        body
        for prompt in prompts
        for body in [_native_body(params, prompt) if offer.is_native else _body(params, prompt)]
        * each
    ]
    bounds = [
        token_bound(measure(prompt), model=offer.name, vocabulary=offer.vocabulary)
        for prompt in prompts
    ]
    likely = [bound.likely for bound in bounds]
    most_input = sum(bound.most + _MARKS for bound in bounds) * each
    output_cap = fit_output(params.max_tokens or DEFAULT_MAX_TOKENS, offer, prompt=max(likely))
    estimate = Estimate(
        likely_prompt_tokens=math.ceil(sum(likely) / len(likely)),
        most_prompt_tokens=max(bound.most for bound in bounds) + _MARKS,
        output_cap=output_cap,
        believable_prompt_tokens=most_input * _BELIEVABLE,
    )
    work = ChatWork(
        bodies=bodies,
        choices=choices,
        estimate=estimate,
        reading=Reading(stops=params.stops if offer.is_native else []),
        operation="completions",
    )
    most: dict[str, Any] = {
        Unit.INPUT_TOKENS: most_input,
        Unit.OUTPUT_TOKENS: output_cap * params.choices * len(prompts),
    }
    return Prepared(offer, most, work, output_cap=output_cap)


def _native_body(params: CompletionParams, prompt: str) -> dict[str, Any]:
    """raw: the prompt as it is, without the model's chat template."""
    body = {"prompt": prompt, "raw": True, **_common(params)}
    if params.seed is not None:
        body["seed"] = params.seed % MAX_NATIVE_SEED + 1
    if params.top_p is not None:
        body["top_p"] = max(params.top_p, 0.001)
    return body


def _body(params: CompletionParams, prompt: str) -> dict[str, Any]:
    return {
        "prompt": prompt,
        **_common(params),
        **given(
            n=params.n if params.choices > 1 else None,
            seed=params.seed,
            stop=params.stops or None,
            top_p=params.top_p,
            logit_bias=params.logit_bias or None,
            logprobs=params.logprobs,
        ),
    }


def _common(params: CompletionParams) -> dict[str, Any]:
    return given(
        temperature=params.temperature,
        top_k=params.top_k,
        repetition_penalty=params.repetition_penalty,
        presence_penalty=params.presence_penalty,
        frequency_penalty=params.frequency_penalty,
    )
