"""A tool behind a URL: a signed POST with the arguments as JSON; its answer is the result."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from django.conf import settings

from agentflare.outside.request import Deadline, OutsideError, Target, as_outside_error, send
from agents.tools.toolbox import declared
from tenants.webhooks import signing

MAX_RESULT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """status: None: there was no answer, and `text` says why."""

    status: int | None
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HttpTool:
    """secret: Standard Webhooks', which every request is signed with."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    url: str
    headers: Mapping[str, str]
    timeout_s: int
    secret: str

    def declaration(self) -> dict[str, Any]:
        return declared(self.name, self.description, self.parameters)

    def run(self, call: Mapping[str, Any]) -> str:
        body = call["arguments"].encode()
        signed = signing.headers(
            secrets=[self.secret],
            event_id=call["call_id"],
            timestamp=int(time.time()),
            body=body,
        )
        answer = post(self.url, body, {**self.headers, **signed}, timeout_s=self.timeout_s)
        if answer.status is None:
            return f"Error: the tool did not answer: {answer.text}"
        if not 200 <= answer.status < 300:
            return f"Error: the tool answered with status {answer.status}: {answer.text[:2000]}"
        return answer.text


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    is_enough: Callable[[bytes], bool] | None = None,
) -> Result:
    """To the public internet alone, never redirected. Never raises.

    is_enough: told each event of a stream of them: whether more need not be waited for.
    """
    deadline = Deadline(timeout_s)
    try:
        with send(
            Target.of_private(url),
            deadline,
            method="POST",
            headers=headers,
            body=body,
            allowed=settings.WEBHOOK_ALLOWED_NETWORKS,
        ) as response:
            content = _read(response, is_enough, deadline)
            told = dict(response.headers.items())
            status = response.status
    except OutsideError as exc:
        return Result(None, str(exc), {})
    except (OSError, HTTPException, ValueError) as exc:
        return Result(None, str(as_outside_error(exc, deadline)), {})
    if len(content) > MAX_RESULT_BYTES:
        return Result(None, f"it sent more than {MAX_RESULT_BYTES} bytes.", {})
    lowered = {name.lower(): value for name, value in told.items()}
    return Result(status, content.decode(errors="replace"), lowered)


def _read(
    response: HTTPResponse, is_enough: Callable[[bytes], bool] | None, deadline: Deadline
) -> bytes:
    """Servers may leave a stream of events open after what was asked for. Raises OutsideError."""
    is_stream = response.headers.get_content_type() == "text/event-stream"
    if is_enough is None or not is_stream:
        return response.read(MAX_RESULT_BYTES + 1)
    content, event = bytearray(), bytearray()
    while len(content) <= MAX_RESULT_BYTES:
        line = response.readline(MAX_RESULT_BYTES + 1)
        content += line
        if line.strip():
            event += line
            continue
        if not line or (event and is_enough(bytes(event))):
            break
        if event:
            deadline.left_s()
            event.clear()
    return bytes(content)
