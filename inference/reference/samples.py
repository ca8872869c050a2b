"""Programs that make an example's request: with curl, and with the usual clients.

All of them are written from the example itself, so they ask for the same thing.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from inference.reference.operation import Example, Operation
from inference.reference.schemas import Schema

_ANSWERS = Path(__file__).parent / "data" / "answers.json"
_WIDTH = 76

_PYTHON_OPENAI = """\
import os
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key=os.environ["AGENTFLARE_API_KEY"])
"""
_PYTHON_ANTHROPIC = """\
import os
from anthropic import Anthropic

client = Anthropic(base_url="{url}", api_key=os.environ["AGENTFLARE_API_KEY"])
"""
_JAVASCRIPT_OPENAI = """\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{url}/v1",
  apiKey: process.env.AGENTFLARE_API_KEY,
}});
"""
_JAVASCRIPT_ANTHROPIC = """\
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({{
  baseURL: "{url}",
  apiKey: process.env.AGENTFLARE_API_KEY,
}});
"""


def code_samples(operation: Operation) -> list[Schema]:
    """As documentation tools read them: `x-codeSamples`."""
    written: list[tuple[str, Callable[[Operation, Example], str]]] = [
        ("curl", curl),
        ("Python", python),
        ("JavaScript", javascript),
    ]
    return [
        {"lang": lang, "label": example.title, "source": write(operation, example)}
        for example in operation.examples
        for lang, write in written
        if lang == "curl" or not operation.is_public
    ]


@cache
def _answers() -> dict[str, Any]:
    answers: dict[str, Any] = json.loads(_ANSWERS.read_text()) if _ANSWERS.exists() else {}
    return answers


def answer_of(operation: Operation, example: Example) -> Schema | None:
    """What the sandbox answered: its type and its body. None: nothing that can be shown."""
    found: Schema | None = _answers().get(f"{operation.id}: {example.title}")
    return found


# --- curl ---------------------------------------------------------------------------


def curl(operation: Operation, example: Example) -> str:
    method = "" if operation.method in ("get", "post") else f"-X {operation.method.upper()} "
    lines = [f"curl {method}{settings.AGENTFLARE_URL}{example.path or operation.path}"]
    if not operation.is_public:
        lines.append(_key_header(operation))
    if operation.dialect == "anthropic":
        lines.append('-H "anthropic-version: 2023-06-01"')
    if example.files:
        lines += [f'-F {name}="@{file}"' for name, file in example.files.items()]
        lines += [f"-F {name}={_shell(_text(value))}" for name, value in example.whole_body.items()]
    elif example.body is not None:
        lines.append('-H "Content-Type: application/json"')
        lines.append(f"-d {_shell(_document(example.whole_body, quote=_json, keys=_json))}")
    if example.saves:
        lines.append(f"--output {example.saves}")
    if (example.body or {}).get("stream"):
        lines[0] = lines[0].replace("curl ", "curl -N ")
    return " \\\n  ".join(lines)


def _key_header(operation: Operation) -> str:
    if operation.dialect == "anthropic":
        return '-H "x-api-key: $AGENTFLARE_API_KEY"'
    return '-H "Authorization: Bearer $AGENTFLARE_API_KEY"'


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# --- Python -------------------------------------------------------------------------


def python(operation: Operation, example: Example) -> str:
    is_anthropic = operation.dialect == "anthropic"
    head = _PYTHON_ANTHROPIC if is_anthropic else _PYTHON_OPENAI
    lines = [head.format(url=settings.AGENTFLARE_URL), _python_call(operation, example)]
    return "\n".join([*lines, example.python, ""])


def _python_call(operation: Operation, example: Example) -> str:
    path = (example.path or operation.path).removeprefix("/v1")
    if not example.call and example.body is None:
        return f'answer = client.{operation.method}("{path}", cast_to=object)'
    if not example.call:
        body = _document(example.whole_body, quote=_python_value, keys=_python_value, indent=4)
        return f'answer = client.post(\n    "{path}",\n    body={body},\n    cast_to=object,\n)'
    given = {
        name: _document(value, quote=_python_value, keys=_python_value, indent=4)
        for name, value in (example.body or {}).items()
    }
    given |= {name: f'open("{file}", "rb")' for name, file in example.files.items()}
    if example.extra:
        given["extra_body"] = _document(
            example.extra, quote=_python_value, keys=_python_value, indent=4
        )
    if example.path:
        return f'answer = client.{example.call}("{_named(operation, example)}")'
    inside = "".join(f"    {name}={value},\n" for name, value in given.items())
    return f"answer = client.{example.call}({chr(10) + inside if inside else ''})"


def _named(operation: Operation, example: Example) -> str:
    """What the path's parameter is in the example."""
    before, _, rest = operation.path.partition("{")
    return example.path.removeprefix(before).removesuffix(rest.partition("}")[2])


def _python_value(value: Any) -> str:
    if isinstance(value, str):
        return _json(value)
    return repr(value)


# --- JavaScript ---------------------------------------------------------------------


def javascript(operation: Operation, example: Example) -> str:
    is_anthropic = operation.dialect == "anthropic"
    head = _JAVASCRIPT_ANTHROPIC if is_anthropic else _JAVASCRIPT_OPENAI
    if example.files:
        head = (
            'import { createReadStream } from "node:fs";\n'.replace("{", "{{").replace("}", "}}")
            + head
        )
    # Imports stand at the top.
    imports = [line for line in example.javascript.splitlines() if line.startswith("import ")]
    rest = "\n".join(
        line for line in example.javascript.splitlines() if line not in imports
    ).strip()
    top = "".join(f"{line}\n" for line in imports)
    url = settings.AGENTFLARE_URL
    return f"{top}{head.format(url=url)}\n{_javascript_call(operation, example)}\n{rest}\n"


def _javascript_call(operation: Operation, example: Example) -> str:
    if example.path and example.call:
        return f'const answer = await client.{example.call}("{_named(operation, example)}");'
    path = (example.path or operation.path).removeprefix("/v1")
    if not example.call and example.body is None:
        return f'const answer = await client.{operation.method}("{path}");'
    if not example.call:
        body = _document(example.whole_body, quote=_json, keys=_javascript_key, indent=2)
        return f'const answer = await client.post("{path}", {{\n  body: {body},\n}});'
    given = {
        name: _document(value, quote=_json, keys=_javascript_key, indent=2)
        for name, value in example.whole_body.items()
    }
    given |= {name: f'createReadStream("{file}")' for name, file in example.files.items()}
    inside = "".join(f"  {name}: {value},\n" for name, value in given.items())
    call = re.sub(r"_(\w)", lambda found: found[1].upper(), example.call)
    return f"const answer = await client.{call}({'{' + chr(10) + inside + '}' if inside else ''});"


def _javascript_key(name: str) -> str:
    return name if name.isidentifier() else _json(name)


# --- documents as programs have them ------------------------------------------------


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _document(
    value: Any, *, quote: Callable[[Any], str], keys: Callable[[str], str], indent: int = 0
) -> str:
    """In one line where it fits, else a line for each member."""
    if isinstance(value, dict):
        members = [
            f"{keys(name)}: {_document(inner, quote=quote, keys=keys, indent=indent + 2)}"
            for name, inner in value.items()
        ]
        opening, closing = "{}"
    elif isinstance(value, list):
        members = [_document(inner, quote=quote, keys=keys, indent=indent + 2) for inner in value]
        opening, closing = "[]"
    else:
        return quote(value)
    line = f"{opening}{', '.join(members)}{closing}"
    if len(line) + indent <= _WIDTH and "\n" not in line:
        return line
    pad = " " * (indent + 2)
    return f"{opening}\n{pad}" + f",\n{pad}".join(members) + f"\n{' ' * indent}{closing}"
