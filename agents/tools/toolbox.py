"""The tools of an agent: which of them we run, and running them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentflare import tracing
from agentflare.concurrency import in_parallel

logger = logging.getLogger(__name__)
# Of one step: a model that calls more has lost its way.
MAX_CALLS = 32
_AT_ONCE = 8


def declared(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as a chat's parameters tell it to the model."""
    function = {"name": name, "description": description, "parameters": dict(parameters)}
    return {"type": "function", "function": function}


class ServerTool(Protocol):
    """A tool that we run. Its name is what the model calls."""

    @property
    def name(self) -> str: ...

    def declaration(self) -> dict[str, Any]:
        """As a chat's parameters tell it to the model."""
        ...

    def run(self, call: Mapping[str, Any]) -> str:
        """call: a function_call item. What the model reads; a fault is told as text, too."""
        ...


@dataclass(slots=True)
class Toolbox:
    """declared: of the tools that the client runs."""

    declared: Sequence[dict[str, Any]] = ()
    server_tools: Sequence[ServerTool] = ()
    _by_name: dict[str, ServerTool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name = {tool.name: tool for tool in self.server_tools}

    def declarations(self) -> list[dict[str, Any]]:
        return [*self.declared, *(tool.declaration() for tool in self.server_tools)]

    def ours(self, calls: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of the calls that we run, or that nobody can: no client waits for them."""
        clients = {tool["function"]["name"] for tool in self.declared}
        return [call for call in calls if call["name"] not in clients]

    def run(self, calls: Sequence[Mapping[str, Any]]) -> list[str]:
        """Results in the order of the calls, several at once."""
        return in_parallel([self._work(call) for call in calls], at_once=_AT_ONCE)

    def _work(self, call: Mapping[str, Any]) -> Callable[[], str]:
        tool = self._by_name.get(call["name"])

        def work() -> str:
            if tool is None:
                return f"Error: there is no tool named {call['name']}."
            with tracing.span("execute_tool", gen_ai__tool__name=tool.name):
                try:
                    return tool.run(call)
                except Exception:  # one tool must not end the turn of all
                    logger.exception("A tool broke")
                    return "Error: the tool could not be run."

        return work
