"""What a call used, and how it is reported."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.exchange import Used, json_number
from sandbox.workers_ai.script import Directive


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Totals of one call. `neurons` is None where the model has no published price."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    neurons: Decimal | None
    overrides: dict[str, Any]

    @classmethod
    def of(
        cls, model: Model, *, prompt_tokens: int, completion_tokens: int, directive: Directive
    ) -> "Usage":
        """The totals, after what the directive overrides; neurons follow the reported tokens."""
        overrides = dict(directive.usage)
        prompt_tokens = _whole(overrides.pop("prompt_tokens", prompt_tokens))
        completion_tokens = _whole(overrides.pop("completion_tokens", completion_tokens))
        cached_tokens = min(directive.cached_tokens, prompt_tokens)
        neurons = model.neurons(
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            completion_tokens=completion_tokens,
        )
        if "neurons" in overrides:
            given = overrides.pop("neurons")
            neurons = None if given is None else Decimal(str(given))
        return cls(
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            completion_tokens=completion_tokens,
            neurons=neurons,
            overrides=overrides,
        )

    @classmethod
    def billed(
        cls, model: Model, *, prompt_tokens: int, completion_tokens: int, directive: Directive
    ) -> Used:
        """What Cloudflare's books say: what was reported, or would have been, unless the
        directive says otherwise."""
        directive = replace(directive, usage={**directive.usage, **directive.billed})
        usage = cls.of(
            model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            directive=directive,
        )
        neurons = usage.neurons
        if neurons is None:  # told to nobody, billed all the same
            neurons = model.neurons(
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                completion_tokens=usage.completion_tokens,
            )
        return Used(
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            neurons=neurons,
        )

    def as_json(self) -> dict[str, Any]:
        usage: dict[str, Any] = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }
        if self.neurons is not None:
            usage["neurons"] = json_number(self.neurons)
        return {**usage, **self.overrides}


def _whole(value: Any) -> int:
    """A reported count is used in arithmetic only if it is one."""
    return value if isinstance(value, int) else 0
