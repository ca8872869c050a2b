"""POST /v1/agents/{agent_id}/tokens."""

import time
from typing import Annotated

from pydantic import Field, StringConstraints
from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from agentflare.connections import given_back
from agentflare.errors import InvalidRequestError
from agentflare.ids import uuid7
from agents.client_tokens.tokens import DEFAULT_S, MAX_S, MIN_S, ClientToken
from agents.conversations.items import NO_NUL, Part
from agents.conversations.models import Conversation
from agents.conversations.objects import uuid_of
from agents.definitions.views import AgentsView, find_agent
from inference.numbers import WHOLE
from inference.views import caller
from tenants.keys.format import KeyParts
from tenants.keys.models import ApiKey
from tenants.registry.schemas import tenant_schema

MAX_END_USER = 64
EndUser = Annotated[str, StringConstraints(min_length=1, max_length=MAX_END_USER, pattern=NO_NUL)]


class ClientTokenParams(Part):
    end_user: EndUser
    """Your user's id: whoever has the token reads and writes this user's conversations alone."""
    conversation: str | None = None
    """The only conversation that it is for; where it is left out, all of the user's with this
    agent, and new ones."""
    expires_in_s: Annotated[int, Field(ge=MIN_S, le=MAX_S), WHOLE] = DEFAULT_S


class ClientTokensView(AgentsView):
    def post(self, request: Request, agent_id: str) -> JsonResponse:
        """Kept nowhere: a repeat makes another, and revoking the key ends all that it minted."""
        params = read_params(request, ClientTokenParams)
        record = caller(request)
        with given_back(), tenant_schema(record.tenant_code):
            agent = find_agent(agent_id)
            digest = ApiKey.objects.values_list("digest", flat=True).get(key_id=record.key_id)
            conversation = None
            if params.conversation is not None:
                conversation = Conversation.objects.filter(
                    pk=uuid_of(params.conversation, "conv") or uuid7(),
                    agent=agent,
                    end_user=params.end_user,
                ).first()
                if conversation is None:
                    raise InvalidRequestError(
                        "This user has no such conversation with this agent.",
                        param="conversation",
                        code="conversation_not_found",
                    )
        token = ClientToken(
            KeyParts(record.tenant_code, record.key_id, digest),
            agent.pk,
            params.end_user,
            int(time.time()) + params.expires_in_s,
            conversation.pk if conversation else None,
        )
        return JsonResponse(
            {
                "object": "agent.client_token",
                "token": token.dumps(),
                "expires_at": token.expires_at,
                "agent_id": agent_id,
                "conversation_id": params.conversation,
                "end_user": params.end_user,
            }
        )
