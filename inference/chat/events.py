"""What a chat model's answer consists of, in whatever form upstream sends it."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeGuard

from billing.prices.models import Unit
from billing.usage.models import Truth
from inference.metering.measured import Measured, parse_neurons


@dataclass(slots=True)
class Delta:
    """A piece of choice `index`: text, reasoning, or fragments of tool calls (OpenAI's form)."""

    index: int = 0
    content: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    refusal: str = ""
    logprobs: Any = None

    def __bool__(self) -> bool:
        return bool(self.content or self.reasoning or self.tool_calls or self.refusal)


@dataclass(slots=True)
class Finish:
    """Choice `index` is complete. reason: stop, length, tool_calls or content_filter.

    stop_sequence: which one ended it, where that is known.
    """

    index: int
    reason: str
    stop_sequence: str | None = None


Event = Delta | Finish


@dataclass(slots=True)
class Usage:
    """What a call used. `prompt_tokens` includes cached ones, `completion_tokens` reasoning."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    neurons: Decimal | None = None

    @classmethod
    def parse(cls, usage: dict[str, Any]) -> "Usage":
        """From OpenAI's usage object, as Cloudflare extends it. Odd values count as 0."""
        prompt_details = usage.get("prompt_tokens_details")
        completion_details = usage.get("completion_tokens_details")
        prompt = _count(usage.get("prompt_tokens"))
        return cls(
            prompt_tokens=prompt,
            cached_tokens=min(prompt, _detail(prompt_details, "cached_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            reasoning_tokens=_detail(completion_details, "reasoning_tokens"),
            neurons=parse_neurons(usage.get("neurons")),
        )

    @classmethod
    def parse_metrics(cls, metrics: dict[str, Any]) -> "Usage":
        """From the names that Moondream has for it."""
        return cls(
            prompt_tokens=_count(metrics.get("input_tokens")),
            completion_tokens=_count(metrics.get("output_tokens")),
        )

    def measured(self, truth: Truth) -> Measured:
        return Measured(
            quantities={
                Unit.INPUT_TOKENS: self.prompt_tokens - self.cached_tokens,
                Unit.CACHED_INPUT_TOKENS: self.cached_tokens,
                Unit.OUTPUT_TOKENS: self.completion_tokens,
            },
            neurons=self.neurons,
            reasoning_tokens=self.reasoning_tokens,
            truth=truth,
        )

    def __bool__(self) -> bool:
        return bool(self.prompt_tokens or self.completion_tokens)


# More tokens, or neurons, than any call can use: a figure above is no figure.
_MOST = 1_000_000_000


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> int:
    """Nothing for what is no number, negative, or beyond belief."""
    return int(value) if _is_number(value) and 0 <= value <= _MOST else 0


def _detail(details: Any, name: str) -> int:
    return _count(details.get(name)) if isinstance(details, dict) else 0
