"""Chat templates, as the model families publish them, as far as they change a count.

A template is text with special tokens in it. `Piece` keeps the two apart: special tokens count
one each, text is counted by the family's own vocabulary. What upstream really adds cannot be
seen from here; learning makes up for what is wrong.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Message = tuple[str, str]
Count = Callable[[str], int]


@dataclass(frozen=True)
class Special:
    """So many special tokens."""

    tokens: int = 1


Piece = str | Special
Tools = list[dict[str, Any]]
Template = Callable[[list[Message], Tools], Iterator[Piece]]
MARK = Special()


def count_prompt(template: Template, count: Count, messages: list[Message], tools: Tools) -> int:
    """Tokens of the rendered prompt. Text between two special tokens is counted as one."""
    total, text = 0, ""
    for piece in template(messages, tools):
        if isinstance(piece, str):
            text += piece
            continue
        total += piece.tokens + count(text)
        text = ""
    return total + count(text)


def llama3(messages: list[Message], tools: Tools) -> Iterator[Piece]:
    """Llama 3.1 to 3.3: always a system message, with two dates."""
    system = "".join(text for role, text in messages if role == "system")
    dates = "Cutting Knowledge Date: December 2023\nToday Date: 23 Nov 2026\n\n"
    yield from (MARK, MARK, "system", MARK, "\n\n", "Environment: ipython\n" if tools else "")
    yield from (dates, system, MARK)
    rest = [message for message in messages if message[0] != "system"]
    for i, (role, text) in enumerate(rest):
        yield from (MARK, role, MARK, "\n\n")
        if i == 0 and tools:
            yield (
                "Given the following functions, please respond with a JSON for a function call "
                "with its proper arguments that best answers the given prompt.\n\nRespond in the "
                'format {"name": function name, "parameters": dictionary of argument name and '
                "its value}.Do not use variables.\n\n"
            )
            for tool in tools:
                yield json.dumps(tool, indent=4, ensure_ascii=False) + "\n\n"
        yield from (text, MARK)
    yield from (MARK, "assistant", MARK, "\n\n")


def chatml(system: str = "", *, marks: int = 1, opening: str = "") -> Template:
    """Qwen's; Kimi's with a mark more for each message."""

    def render(messages: list[Message], tools: Tools) -> Iterator[Piece]:
        given = messages[0][1] if messages and messages[0][0] == "system" else system
        rest = messages[1:] if messages and messages[0][0] == "system" else messages
        if given or tools:
            yield from (MARK, "system\n", given)
            if tools:
                yield (
                    "\n\n# Tools\n\nYou may call one or more functions to assist with the user "
                    "query.\n\nYou are provided with function signatures within <tools></tools> "
                    "XML tags:\n<tools>"
                )
                for tool in tools:
                    yield "\n" + json.dumps(tool, ensure_ascii=False)
                yield (
                    "\n</tools>\n\nFor each function call, return a json object with function "
                    "name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
                    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
                )
            yield from (Special(marks), "\n")
        for role, text in rest:
            yield from (MARK, f"{role}\n", text, Special(marks), "\n")
        yield from (MARK, "assistant\n" + opening)

    return render


def harmony(messages: list[Message], tools: Tools) -> Iterator[Piece]:
    """gpt-oss: a system message of its own; ours becomes the developer's."""
    yield from (MARK, "system", MARK)
    yield (
        "You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
        "Current date: 2026-11-23\n\nReasoning: medium\n\n# Valid channels: analysis, commentary,"
        " final. Channel must be included for every message."
    )
    if tools:
        yield "\nCalls to these tools must go to the commentary channel: 'functions'."
    yield MARK
    system = "".join(text for role, text in messages if role == "system")
    if system or tools:
        yield from (MARK, "developer", MARK, "# Instructions\n\n" if system else "", system)
        if tools:
            yield "\n\n# Tools\n\n## functions\n\nnamespace functions {\n\n"
            for tool in tools:
                yield _typescript(tool)
            yield "} // namespace functions"
        yield MARK
    for role, text in messages:
        if role != "system":
            yield from (MARK, role, MARK, text, MARK)
    yield from (MARK, "assistant")


def _typescript(tool: dict[str, Any]) -> str:
    function = tool["function"]
    lines = [f"// {function.get('description', '')}", f"type {function['name']} = (_: {{"]
    for name, schema in function.get("parameters", {}).get("properties", {}).items():
        lines += [f"// {schema.get('description', '')}", f"{name}?: {schema.get('type', 'any')},"]
    return "\n".join([*lines, "}) => any;\n\n"])


def turns(
    *,
    start: int = 1,
    before: Piece = MARK,
    after: tuple[Piece, ...] = (),
    opening: tuple[Piece, ...] = (),
    preamble: str = "",
    tool_rules: str = "",
    with_role: bool = False,
) -> Template:
    """Templates that only put marks around each message."""

    def render(messages: list[Message], tools: Tools) -> Iterator[Piece]:
        yield Special(start)
        yield preamble
        if tools:
            yield from (MARK, tool_rules)
            for tool in tools:
                yield json.dumps(tool, ensure_ascii=False) + "\n"
            yield MARK
        for role, text in messages:
            yield from (before, f"{role}\n" if with_role else "", text, *after)
        yield from opening

    return render


_JSON_TOOLS = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
    "provided with function signatures within <tools></tools> XML tags:\n<tools>\n</tools>\n\n"
    "For each function call, output the function name and arguments within the following XML "
    "format:\n<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}"
    "</arg_value>\n<arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>\n...\n"
    "</tool_call>"
)


def sandbox(messages: list[Message], tools: Tools) -> Iterator[Piece]:
    """The stand-in for Workers AI: 4 tokens for each message and 3 for the answer."""
    for _, text in messages:
        yield from (Special(4), text, Special(0))
    for tool in tools:
        yield from (json.dumps(tool, separators=(",", ":"), ensure_ascii=False), Special(0))
    yield Special(3)


# By the name in factors.json. Of several, the first is the likeliest.
TEMPLATES: dict[str, list[Template]] = {
    "harmony": [harmony],
    "llama3": [llama3],
    "llama4": [
        turns(start=1, before=Special(2), after=("\n\n", MARK), opening=(Special(3), "\n\n"))
    ],
    "qwen2.5": [
        chatml("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
        chatml("You are a helpful and harmless assistant. You should think step-by-step."),
    ],
    "qwen3": [chatml(), chatml(opening="<think>\n\n</think>\n\n"), chatml(opening="<think>\n")],
    "deepseek": [turns(opening=(Special(2),), tool_rules=_JSON_TOOLS)],
    "glm": [turns(start=2, after=("\n",), opening=(Special(2),), tool_rules=_JSON_TOOLS)],
    "kimi": [chatml("You are Kimi, an AI assistant created by Moonshot AI.", marks=2)],
    "mistral": [turns(after=(MARK,)), turns(before=Special(2), after=(Special(2),))],
    "gemma": [
        turns(after=(MARK, "\n"), opening=(MARK, "model\n"), with_role=True, tool_rules=_JSON_TOOLS)
    ],
    "llama2": [turns(before="[INST] ", after=(" [/INST]", Special(2)))],
    "unknown": [
        chatml(opening="\n"),
        turns(after=(MARK,)),
        turns(before=Special(3), after=("\n", MARK), opening=(Special(3),), tool_rules=_JSON_TOOLS),
    ],
}
# By the name in factors.json → splintr's names of those that go by it.
VOCABULARIES: dict[str, list[str]] = {
    "o200k": ["o200k_base"],
    "llama3": ["llama3"],
    "qwen": ["qwen3"],
    "deepseek": ["deepseek_v3"],
    "glm": ["glm4"],
    "kimi": ["kimi_k2"],
    "mistral": ["mistral_v3"],
    "gemma": ["gemma3", "gemma2", "gemma4"],
    "gemma2": ["gemma2"],
    "gemma3": ["gemma3"],
    "gemma4": ["gemma4"],
    "llama2": ["llama2"],
    "mistral_v1": ["mistral_v1"],
    "unknown": ["cl100k_base", "mistral_v3", "qwen3", "llama2", "olmo2"],
}
