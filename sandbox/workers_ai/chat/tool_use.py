"""Tool calls that no directive asks for.

SmolLM2 cannot call tools, so the stand-in decides by plain rules whether and which, and has the
local model write the arguments under the tool's own JSON schema.
"""

import json
import re

from sandbox.workers_ai.chat.inputs import ChatCall, Tool
from sandbox.workers_ai.chat.words import MentionedValues, pinned
from sandbox.workers_ai.errors import LocalModelError
from sandbox.workers_ai.local_model import ChatTurn, LocalModel, Sampling
from sandbox.workers_ai.schemas import bounded, minimal_instance
from sandbox.workers_ai.script import ScriptedCall

MAX_ARGUMENT_TOKENS = 96
MAX_QUESTION_CHARS = 400

WORD = re.compile(r"[^\W_]+")
CAMEL_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])")
ENDINGS = ("ingly", "edly", "ing", "ed", "ies", "es", "s", "ly", "e")
STOP_TEXT = """
a about all also am an and any are as at be been but by can could data did do does for from
function get give given has have he her his how i if in input into is it its just know let like
list look make me more my name need no not now number object of on or our out output parameter
please return returns say set she should show so some string take tell than that the their them
then there these they thing this to tool type up us use used user using value want was we were
what when where which who why will with would you your
"""
STOP_WORDS = frozenset(STOP_TEXT.split())


def stems(text: str) -> set[str]:
    """The meaningful words of a text, lower case, without their usual English endings."""
    words = {word.lower() for word in WORD.findall(CAMEL_BORDER.sub(" ", text))}
    return {_stem(word) for word in words - STOP_WORDS if len(word) > 2}


def _stem(word: str) -> str:
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def choose_tool(call: ChatCall) -> Tool | None:
    """The tool to call, or None to answer with text.

    A forced tool is called. Otherwise only a user's message can lead to a call: to the tool that
    shares the most words with it; "required" takes the first where none shares any.
    """
    if not call.tools or call.tool_choice == "none":
        return None
    if call.forced_tool is not None:
        return next(tool for tool in call.tools if tool.name == call.forced_tool)
    if call.newest.role != "user" and call.tool_choice != "required":
        return None
    asked = stems(call.newest_user_text)
    best = max(call.tools, key=lambda tool: len(asked & tool_stems(tool)))
    if asked & tool_stems(best) or call.tool_choice == "required":
        return best
    return None


def tool_stems(tool: Tool) -> set[str]:
    parameters = tool.parameters.get("properties")
    names = " ".join(parameters) if isinstance(parameters, dict) else ""
    return stems(f"{tool.name} {tool.description} {names}")


async def write_call(local_model: LocalModel, call: ChatCall, tool: Tool) -> ScriptedCall:
    """A call of the tool; with plain valid arguments where the local model writes none.

    Raises LocalModelError if there is no local model.
    """
    await local_model.ready_url()
    about = f"{tool.name}: {tool.description}" if tool.description else tool.name
    turns = [
        ChatTurn("system", f"Fill in the arguments of the function {about}. Answer in JSON."),
        ChatTurn("user", call.newest_user_text[:MAX_QUESTION_CHARS]),
    ]
    schema = pinned(tool.parameters, call.newest_user_text)
    sampling = Sampling(temperature=0, seed=call.seed or 1, schema=bounded(schema))
    try:
        text, _ = await local_model.generate_text(
            turns, max_tokens=MAX_ARGUMENT_TOKENS, sampling=sampling
        )
        arguments = json.loads(text)
    except (LocalModelError, json.JSONDecodeError):
        # A schema that llama.cpp doesn't take, or an answer that did not come to its end.
        arguments = None
    if not isinstance(arguments, dict):
        return plain_call(call, tool)
    return ScriptedCall(tool.name, json.dumps(arguments, ensure_ascii=False))


def plain_call(call: ChatCall, tool: Tool) -> ScriptedCall:
    """A call whose arguments fit the schema, with what the newest user message mentions."""
    values = MentionedValues(call.newest_user_text)
    arguments = minimal_instance(tool.parameters, values=values)
    return ScriptedCall(
        tool.name, json.dumps(arguments if isinstance(arguments, dict) else {}, ensure_ascii=False)
    )
