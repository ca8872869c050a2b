"""OpenAI's text_completion, whole and in chunks."""

from typing import Any

from agentflare.errors import GatewayError
from inference.chat.events import Event, Finish, Usage
from inference.chat.shape import DONE, Choice, Shape, chunk, gather, usage_object
from inference.pipeline import Told

OBJECT = "text_completion"
# The older API has no other reasons to end.
_FINISH_REASONS = {"stop", "length", "content_filter"}


class CompletionDialect:
    """echo: the prompts, put before each of their choices where the client wants that."""

    def __init__(
        self, shape: Shape, *, choices: int, prompts: list[str], echo: bool, include_usage: bool
    ) -> None:
        self.shape = shape
        self.prompts = prompts
        self.choices_each = choices
        self.echo = echo
        self.include_usage = include_usage
        self._started: set[int] = set()

    @property
    def system_fingerprint(self) -> str | None:
        return self.shape.system_fingerprint

    @system_fingerprint.setter
    def system_fingerprint(self, value: str | None) -> None:
        self.shape.system_fingerprint = value

    def whole(self, events: list[Event], usage: Usage, told: Told) -> dict[str, Any]:
        count = self.choices_each * len(self.prompts)
        found = {choice.index: choice for choice in gather(events)}
        choices = [found.get(index, Choice(index)) for index in range(count)]
        return {
            **self.shape.head(OBJECT),
            "choices": [
                _choice(
                    choice.index,
                    self._echoed(choice.index) + "".join(choice.content),
                    finish_reason=choice.finish_reason,
                    logprobs=choice.logprobs,
                )
                for choice in choices
            ],
            "usage": usage_object(usage, told),
        }

    def begin(self) -> bytes:
        return b""

    def write(self, event: Event) -> bytes:
        written = b""
        if event.index not in self._started:
            self._started.add(event.index)
            if echoed := self._echoed(event.index):
                written = self._chunk(_choice(event.index, echoed))
        if isinstance(event, Finish):
            return written + self._chunk(_choice(event.index, "", finish_reason=event.reason))
        if not event.content:
            return written
        return written + self._chunk(_choice(event.index, event.content, logprobs=event.logprobs))

    def end(self, usage: Usage, told: Told) -> bytes:
        if not self.include_usage:
            return DONE
        last = {**self.shape.head(OBJECT), "choices": [], "usage": usage_object(usage, told)}
        return chunk(last) + DONE

    def error(self, error: GatewayError) -> bytes:
        return chunk(error.body())

    def _echoed(self, index: int) -> str:
        return self.prompts[index // self.choices_each] if self.echo else ""

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        data = {**self.shape.head(OBJECT), "choices": [choice]}
        return chunk({**data, "usage": None} if self.include_usage else data)


def _choice(
    index: int, text: str, *, finish_reason: str | None = None, logprobs: Any = None
) -> dict[str, Any]:
    if finish_reason is not None and finish_reason not in _FINISH_REASONS:
        finish_reason = "stop"
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish_reason}
