"""The AsyncAPI document of both WebSockets: GET /v1/asyncapi.json, for everybody.

AsyncAPI 3.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0). What messages hold is
taken from the code that reads and writes them.
"""

from functools import cache
from typing import Any

from django.conf import settings
from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse
from agents.reference.answers import AgentConversationObject, ResponseEvent, TurnEvent
from agents.responses.params import ResponseParams
from agents.sockets.codes import MEANINGS
from agents.sockets.params import COMMANDS
from agents.sockets.rate import BURST, MESSAGES_PER_S
from inference.reference.schemas import components

Schema = dict[str, Any]
_SUMMARIES = {
    "conversation.create": "Begin a conversation; `conversation.created` answers.",
    "turn.create": "Begin a turn; `turn.accepted` answers, then its events follow.",
    "turn.subscribe": "A turn's events after one that you have seen: how to go on after a drop.",
    "turn.cancel": "End a turn where it is.",
    "turn.retry": "Make the last turn of a conversation again.",
    "turn.tool_outputs": "Results of the tools that a turn waits for; its events go on.",
    "ping": "For browsers, which cannot send a WebSocket's own ping; `pong` answers.",
}
_REF = {"type": ["string", "null"], "description": "Yours, of the message that is answered."}


class AsyncApiView(ApiView):
    authentication_classes = ()

    def get(self, request: Request) -> JsonResponse:
        return JsonResponse(document())


@cache
def document() -> Schema:
    models = [*COMMANDS.values(), TurnEvent, AgentConversationObject, ResponseEvent, ResponseParams]
    sent = {_name(kind): _command(kind) for kind in COMMANDS}
    told = _answers()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "AgentFlare's WebSockets",
            "version": "1",
            "description": _about(),
        },
        "servers": {
            "production": {
                "host": settings.AGENTFLARE_URL.partition("://")[2],
                "protocol": "wss" if settings.AGENTFLARE_URL.startswith("https") else "ws",
                "security": [{"$ref": "#/components/securitySchemes/key"}],
            }
        },
        "channels": {
            "agent": {
                "address": "/v1/agents/{agent_id}/ws",
                "parameters": {"agent_id": {"description": "The `id` of an agent."}},
                "messages": {name: _message_ref(name) for name in (*sent, *told)},
            },
            "responses": {
                "address": "/v1/responses",
                "description": "OpenAI's: `response.create` makes a response, one after the other.",
                "messages": {
                    name: _message_ref(name) for name in ("responseCreate", "responseEvent")
                },
            },
        },
        "operations": {
            "command": _operation("receive", "agent", sent),
            "tell": _operation("send", "agent", told),
            "createResponse": _operation("receive", "responses", ["responseCreate"]),
            "tellResponse": _operation("send", "responses", ["responseEvent"]),
        },
        "components": {
            "messages": {**sent, **told, **_of_responses()},
            "schemas": components(models),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _about() -> str:
    codes = "\n".join(f"- {code.value}: {meaning}" for code, meaning in MEANINGS.items())
    return (
        "Messages are JSON, as text. Come in with an API key or a client token in the header "
        "`Authorization: Bearer …`; browsers, which cannot send headers, name the subprotocols "
        "`agentflare.v1` and `agentflare.token.` with the token behind it.\n\n"
        "Events of a turn are numbered; what was not read is kept, so that a client that was cut "
        "off goes on with `turn.subscribe` from the last event that it has seen.\n\n"
        f"At most {MESSAGES_PER_S:g} messages a second, {BURST:g} at once.\n\n"
        f"Why it is closed:\n{codes}"
    )


def _name(kind: str) -> str:
    first, *rest = kind.replace(".", "_").split("_")
    return first + "".join(part.capitalize() for part in rest)


def _command(kind: str) -> Schema:
    return {
        "name": kind,
        "summary": _SUMMARIES[kind],
        "payload": {"$ref": f"#/components/schemas/{COMMANDS[kind].__name__}"},
    }


def _answers() -> dict[str, Schema]:
    conversation = {"$ref": "#/components/schemas/AgentConversationObject"}
    error = {
        "type": "object",
        "description": "OpenAI's: message, type, param, code.",
    }
    return {
        "turnEvent": {
            "name": "turn.* and response.*",
            "summary": "What happens in a turn, numbered.",
            "payload": {"$ref": "#/components/schemas/TurnEvent"},
        },
        "turnAccepted": _told("turn.accepted", turn={"type": "string"}),
        "turnCancelDone": _told("turn.cancel.done", turn={"type": "string"}),
        "conversationCreated": _told("conversation.created", conversation=conversation),
        "pong": _told("pong"),
        "error": _told("error", status={"type": "integer"}, error=error),
    }


def _told(kind: str, **fields: Schema) -> Schema:
    properties = {"type": {"const": kind}, "ref": _REF, **fields}
    payload = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": kind, "payload": payload}


def _of_responses() -> dict[str, Schema]:
    params = {"$ref": "#/components/schemas/ResponseParams"}
    kind = {"type": "object", "properties": {"type": {"const": "response.create"}}}
    return {
        "responseCreate": {"name": "response.create", "payload": {"allOf": [kind, params]}},
        "responseEvent": {
            "name": "response.*",
            "payload": {"$ref": "#/components/schemas/ResponseEvent"},
        },
    }


def _message_ref(name: str) -> Schema:
    return {"$ref": f"#/components/messages/{name}"}


def _operation(action: str, channel: str, names: Any) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }
