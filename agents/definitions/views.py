"""/v1/agents."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse, read_params
from agentflare.connections import given_back
from agentflare.errors import InvalidRequestError, NotFoundError
from agents.client_tokens.authentication import ClientAuthentication, client_of
from agents.conversations.objects import list_object
from agents.definitions import services
from agents.definitions.models import Agent
from agents.definitions.objects import agent_object, agent_uuid
from agents.definitions.params import AgentParams, AgentUpdateParams
from billing.account.queries import page_size
from inference.catalog.allowed import require_allowed
from inference.catalog.selectors import catalogue
from inference.views import caller
from tenants.keys.models import Scope
from tenants.registry.schemas import tenant_schema

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100


class AgentsView(ApiView):
    scope = Scope.AGENTS

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, Agent.DoesNotExist):
            given = self.kwargs["agent_id"]
            exc = NotFoundError(f"Agent with id '{given}' not found.", code="agent_not_found")
        return super().handle_exception(exc)


class AgentListView(AgentsView):
    def get(self, request: Request) -> JsonResponse:
        """Newest first; `after` is the last_id of the page before."""
        limit = page_size(request.query_params, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
        with given_back(), tenant_schema(caller(request).tenant_code):
            agents = Agent.objects.order_by("-pk")
            if given := request.query_params.get("after"):
                if (number := agent_uuid(given)) is None:
                    raise InvalidRequestError(
                        "There is no such agent.", param="after", code="invalid_value"
                    )
                agents = agents.filter(pk__lt=number)
            rows = list(agents[: limit + 1])
        data = [agent_object(row) for row in rows[:limit]]
        return JsonResponse(list_object(data, has_more=len(rows) > limit))

    def post(self, request: Request) -> JsonResponse:
        """The answer alone has `tool_secret`."""
        params = read_params(request, AgentParams)
        require_model(request, params.model)
        if params.summary:
            require_model(request, params.summary.model, param="summary.model")
        with given_back(), tenant_schema(caller(request).tenant_code):
            agent, secret = services.create_agent(params)
        return JsonResponse({**agent_object(agent), "tool_secret": secret})


class AgentView(AgentsView):
    authentication_classes = (ClientAuthentication,)

    def get(self, request: Request, agent_id: str) -> JsonResponse:
        """A client token reads of its agent what concerns its user."""
        client = client_of(request)
        with given_back(), tenant_schema(caller(request).tenant_code):
            agent = find_agent(agent_id)
        told = agent_object(agent)
        if client is not None:
            client.require_agent(agent.pk)
            told = {name: told[name] for name in ("id", "object", "name", "description")}
        return JsonResponse(told)

    def post(self, request: Request, agent_id: str) -> JsonResponse:
        require_key(request)
        params = read_params(request, AgentUpdateParams)
        if params.model is not None:
            require_model(request, params.model)
        if params.summary:
            require_model(request, params.summary.model, param="summary.model")
        with given_back(), tenant_schema(caller(request).tenant_code):
            agent = services.update_agent(require_uuid(agent_id), params)
        return JsonResponse(agent_object(agent))

    def delete(self, request: Request, agent_id: str) -> JsonResponse:
        """With its conversations."""
        require_key(request)
        with given_back(), tenant_schema(caller(request).tenant_code):
            if not services.delete_agent(require_uuid(agent_id)):
                raise Agent.DoesNotExist
        return JsonResponse({"id": agent_id, "object": "agent.deleted", "deleted": True})


class ToolSecretView(AgentsView):
    def post(self, request: Request, agent_id: str) -> JsonResponse:
        """A new one, in place of the former at once. A repeat makes another."""
        with given_back(), tenant_schema(caller(request).tenant_code):
            secret = services.new_tool_secret(require_uuid(agent_id))
        return JsonResponse({"id": agent_id, "object": "agent.tool_secret", "tool_secret": secret})


def require_uuid(agent_id: str) -> UUID:
    if (number := agent_uuid(agent_id)) is None:
        raise Agent.DoesNotExist
    return number


def find_agent(agent_id: str) -> Agent:
    """In the tenant's schema. Raises Agent.DoesNotExist."""
    return Agent.objects.get(pk=require_uuid(agent_id))


def require_key(request: Request) -> None:
    """What a client token is not for. Raises NotFoundError."""
    if client_of(request) is not None:
        raise NotFoundError("A client token is not for this.", code="not_for_client_tokens")


def require_model(request: Request, name: str, *, param: str = "model") -> None:
    """A model or route that the key may call. Raises GatewayError."""
    try:
        plan = catalogue().of(caller(request).tenant_code).route(name)
        require_allowed(caller(request), plan)
    except NotFoundError as exc:
        exc.param = param
        raise
